// Which servers the gateway asks: reading them as a technician writes them, taking them from resolv.conf, and noticing
// when one of them is the gateway itself. Says nothing of how they are asked (exchange.ts).

import { SocketAddress, isIP } from 'node:net';
import type { AnyUpstream, SecureUpstream, Upstream } from './types.ts';

/** Where DNS over TLS and over HTTPS are served unless something else is written. */
const SECURE_PORTS = { tls: 853, https: 443 } as const;

/**
 * Reads `IP` or `IP:port` or `[IPv6]:port` (port 53 when none is given). Throws an Error that says what to write instead:
 * for host names, for `system` (which `systemUpstreams` reads) and for encrypted forms, which are not offered.
 */
export function parseUpstream(text: string): Upstream {
  const written = text.trim();
  if (/^(tls|https|quic|sdns):\/\//i.test(written)) {
    throw new Error(
      `upstream "${written}": encrypted upstreams are not offered yet, write a plain address such as 9.9.9.9`,
    );
  }
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

function secureText({ kind, host, port, path }: SecureUpstream): string {
  const name = isIP(host) === 6 ? `[${host}]` : host;
  return `${kind}://${name}${port === SECURE_PORTS[kind] ? '' : `:${port}`}${path}`;
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
