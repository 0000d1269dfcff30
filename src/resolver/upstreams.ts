// Which servers the gateway asks: reading them as a technician writes them, taking them from resolv.conf, and noticing
// when one of them is the gateway itself. Says nothing of how they are asked (exchange.ts).

import { SocketAddress, isIP } from 'node:net';
import type { AnyUpstream, SecureUpstream, Upstream } from './types.ts';

/** Where DNS over TLS and over HTTPS are served unless something else is written. */
const SECURE_PORTS = { tls: 853, https: 443 } as const;

/** Whether the text is meant for a server that is asked over TLS or HTTPS. */
export function isSecureText(text: string): boolean {
  return /^[a-z0-9+.-]+:\/\//i.test(text.trim());
}

/** Reads `IP` or `IP:port` or `[IPv6]:port` (port 53 when none is given). Throws an Error that says what to write instead. */
export function parseUpstream(text: string): Upstream {
  const written = text.trim();
  if (isIP(written) !== 0) return { address: canonical(written), port: 53 };
  const parts = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(written);
  const address = parts?.[1] ?? parts?.[2] ?? '';
  const port = Number(parts?.[3]);
  if (isIP(address) === 0 || (parts?.[1] !== undefined && isIP(address) !== 6)) {
    throw new Error(
      `upstream "${written}": write an address, such as 9.9.9.9, 9.9.9.9:5353 or [2620:fe::fe]:53`,
    );
  }
  if (port < 1 || port > 65535) throw new Error(`upstream "${written}": the port must be 1 to 65535`);
  return { address: canonical(address), port };
}

/**
 * Reads `tls://host[:port]` and `https://host[:port]/path`; either may be written with an address, and the host that is there
 * after a `#`. Throws an Error that says what to write instead.
 */
export function parseSecureUpstream(text: string): SecureUpstream {
  const written = text.trim();
  const wrong = (what: string): Error => new Error(`upstream "${written.slice(0, 80)}": ${what}`);
  const scheme = /^([a-z0-9+.-]+):\/\//i.exec(written)?.[1]?.toLowerCase() ?? '';
  if (scheme !== 'tls' && scheme !== 'https') throw wrong('write tls://host or https://host/dns-query');
  let url: URL;
  let name: string;
  try {
    // Hosts and ports are read as in any web address.
    url = new URL(`https:${written.slice(scheme.length + 1)}`);
    name = decodeURIComponent(url.hash.slice(1)).toLowerCase();
  } catch {
    throw wrong(`the host or the port is wrong; write ${scheme}://host`);
  }
  const place = bareHost(url.hostname);
  if (place === '' || url.username !== '' || url.password !== '') {
    throw wrong('write a host after the slashes, and no user');
  }
  if (/[{}]|%7[bd]/i.test(url.pathname + url.search)) throw wrong('write the path without what is in braces');
  if (scheme === 'tls' && url.pathname + url.search !== '/') {
    throw wrong('tls:// has no path; write tls://host or tls://host:853');
  }
  if (scheme === 'https' && url.pathname === '/') throw wrong('write the path too, most often /dns-query');
  // The port that the URL leaves out because it is the usual one for https.
  const usual = /:443$/.test(written.slice(scheme.length + 3).split(/[/?#]/, 1)[0] ?? '');
  const port = url.port !== '' ? Number(url.port) : usual ? 443 : SECURE_PORTS[scheme];
  if (port < 1) throw wrong('the port must be 1 to 65535');
  if (name !== '' && (isIP(place) === 0 || isIP(name) !== 0 || !HOST_NAME.test(name))) {
    throw wrong(
      'write an address before the # and the host name after it, such as tls://9.9.9.9#dns.quad9.net',
    );
  }
  return {
    kind: scheme,
    host: name !== '' ? bareHost(name) : isIP(place) === 0 ? place : canonical(place),
    port,
    path: scheme === 'https' ? url.pathname + url.search : '',
    addresses: isIP(place) === 0 ? [] : [canonical(place)],
  };
}

const HOST_NAME = /^(?=.{1,254}$)([a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}\.?$/;

/** Without the brackets of IPv6 and without the final dot. */
function bareHost(host: string): string {
  return host.replace(/^\[|\]$/g, '').replace(/\.$/, '');
}

/** The name servers of a resolv.conf's text, in its order, without repeats; lines that cannot be read are left out. */
export function systemUpstreams(resolvConf: string): Upstream[] {
  const found: Upstream[] = [];
  for (const line of resolvConf.split('\n', 1000)) {
    const address = /^\s*nameserver\s+(\S+)/.exec(line)?.[1] ?? '';
    if (isIP(address) === 0) continue;
    const upstream = { address: canonical(address), port: 53 };
    if (!found.some((other) => sameUpstream(other, upstream))) found.push(upstream);
  }
  return found;
}

/**
 * Whether asking `upstream` would be asking ourselves. `own` is what the gateway listens on; a wildcard there
 * stands for every address in `localAddresses` and for loopback.
 */
export function isOurselves(
  upstream: AnyUpstream,
  own: readonly Upstream[],
  localAddresses: readonly string[],
): boolean {
  const local = localAddresses.map(canonical);
  const { port } = upstream;
  return own.some((listener) => {
    if (listener.port !== port) return false;
    const address = canonical(listener.address);
    return addressesOf(upstream).some((theirs) => {
      if (address !== '0.0.0.0' && address !== '::') return address === theirs;
      // Asking a wildcard address reaches this machine too.
      return (
        theirs === '0.0.0.0' ||
        theirs === '::' ||
        theirs === '::1' ||
        theirs.startsWith('127.') ||
        local.includes(theirs)
      );
    });
  });
}

function addressesOf(upstream: AnyUpstream): readonly string[] {
  return 'kind' in upstream ? upstream.addresses : [upstream.address];
}

/** `IP:port`, `tls://host` or `https://host/path` as people write it. */
export function upstreamText(upstream: AnyUpstream): string {
  if ('kind' in upstream) return secureText(upstream);
  return isIP(upstream.address) === 6
    ? `[${upstream.address}]:${upstream.port}`
    : `${upstream.address}:${upstream.port}`;
}

function secureText({ kind, host, port, path, addresses }: SecureUpstream): string {
  const place = addresses[0] ?? host;
  const written = isIP(place) === 6 ? `[${place}]` : place;
  const name = place === host ? '' : `#${host}`;
  return `${kind}://${written}${port === SECURE_PORTS[kind] ? '' : `:${port}`}${path}${name}`;
}

function sameUpstream(a: Upstream, b: Upstream): boolean {
  return a.address === b.address && a.port === b.port;
}

/** One spelling for each address, the one that the system reports senders in; a zone (`%eth0`) stays. */
function canonical(address: string): string {
  if (isIP(address) !== 6) return address;
  const [plain = '', zone] = address.split('%', 2);
  const text = new SocketAddress({ address: plain, family: 'ipv6' }).address;
  return zone === undefined ? text : `${text}%${zone}`;
}
