// Which addresses a request may be led to: never into the gateway or the private network, by literal or by DNS answer,
// unless `allowPrivate` names it. What comes out is what is connected to; nothing is resolved again after the check.

import { domainToASCII } from 'node:url';
import { canonicalName } from '../blocklist/names.ts';
import { formatAddress, parseAddress, parseNetwork } from '../policy/networks.ts';
import { compileNetworks, isPrivateAddress, matchesNetworks } from '../policy/private-address.ts';
import type { Reason } from '../policy/types.ts';
import type { Lookup } from '../resolver/types.ts';
import { isWebPort } from './target.ts';
import type { Target } from './target.ts';
import type { PageKind } from './texts.ts';
import type { ProxySettings } from './types.ts';

/** Why the proxy itself will not or cannot go there. */
export type Refusal = {
  readonly status: 403 | 502 | 504;
  readonly kind: PageKind;
  readonly action: 'block' | 'error';
  readonly reason: Reason;
  readonly rule: string;
};

/** Where a name led: the other names on the way, and the addresses or why none of them is connected to. */
export type Found = {
  readonly chain: readonly string[];
  readonly to: readonly string[] | Refusal;
};

export type Reach = {
  /** what can be said before anything is resolved; null when nothing speaks against it */
  precheck(target: Target, channel: 'http' | 'connect'): Refusal | null;
  /**
   * The addresses of a name that may be connected to, in the order to try them, once policy has passed the chain; never
   * rejects. `instead` is the name to go to in place of the target's own; then that name is in the chain, too.
   */
  resolve(target: Target, instead?: string | null): Promise<Found>;
};

const INSIDE: Refusal = {
  status: 403,
  kind: 'inside',
  action: 'block',
  reason: 'private-address',
  rule: 'the gateway and inside addresses are not reached through the proxy (allow_private)',
};
/** Names that are nowhere but on this machine or this network segment (RFC 6761, RFC 6762), or nowhere at all (RFC 6761, RFC 7686). */
const LOCAL = /(^|\.)(localhost|local)$/;
const NOWHERE = /(^|\.)(onion|invalid)$/;
const MAX_STANDINGS = 4_096;
const HERE = compileNetworks(['0.0.0.0/8', '127.0.0.0/8', '::', '::1']);

/**
 * Throws an Error that names the entry when `allowPrivate` holds what is neither a name nor a network.
 */
export function createReach(deps: { lookup: Pick<Lookup, 'resolve'>; settings: ProxySettings }): Reach {
  const { lookup, settings } = deps;
  const { own, connectPorts } = settings;
  const networks = settings.allowPrivate.filter((entry) => parseNetwork(entry) !== null);
  const allowedNetworks = compileNetworks(networks);
  const allowedNames = new Set(
    settings.allowPrivate
      .filter((entry) => !networks.includes(entry))
      .map((entry) => {
        const name = canonicalName(entry.replace(/^\*\./, ''), domainToASCII);
        if (name === null) throw new Error(`allow_private: ${entry} is neither a host name nor a network`);
        return name;
      }),
  );
  const forwarded = new Set(settings.forwarded);
  const ownHost = own.host === null ? null : canonicalName(own.host, domainToASCII);
  const ownAddresses = new Set(own.addresses.map(normalAddress));
  const ownPorts = new Set(own.ports ?? []);
  const ports = connectPorts === 'any' ? null : new Set(connectPorts);

  const isAllowedName = (host: string): boolean => isWithin(allowedNames, host);

  /** What is never asked of an upstream, unless the school says that the name is one of its own. */
  const specialRefusal = (host: string): Refusal | null => {
    const local = LOCAL.test(host);
    if (!local && !NOWHERE.test(host)) return null;
    if (isAllowedName(host) || isWithin(forwarded, host)) return null;
    return local
      ? INSIDE
      : failure(502, 'not-found', 'names of this kind are in no directory of the internet');
  };

  type Standing = { readonly here: boolean; readonly inside: boolean; readonly named: boolean };
  const standings = new Map<string, Standing>();
  /** What an address is, worked out once: the same few hundred come back with every request. */
  const standingOf = (address: string): Standing => {
    const known = standings.get(address);
    if (known !== undefined) return known;
    const own = ownAddresses.has(normalAddress(address));
    const standing: Standing = {
      here: own || matchesNetworks(address, HERE),
      inside: own || isPrivateAddress(address),
      named: matchesNetworks(address, allowedNetworks),
    };
    if (standings.size >= MAX_STANDINGS) standings.clear();
    standings.set(address, standing);
    return standing;
  };

  const mayConnect = (address: string, host: string, port: number): boolean => {
    const { here, inside, named } = standingOf(address);
    if (here && ownPorts.has(port)) return false;
    return !inside || named || isAllowedName(host);
  };

  return {
    precheck(target, channel) {
      if (target.host === ownHost) return INSIDE;
      const special = specialRefusal(target.host);
      if (special !== null) return special;
      if (target.isAddress && !mayConnect(target.host, target.host, target.port)) return INSIDE;
      if (channel === 'connect' ? ports !== null && !ports.has(target.port) : !isWebPort(target.port))
        return {
          status: 403,
          kind: 'port',
          action: 'block',
          reason: 'port',
          rule:
            channel === 'connect'
              ? `port ${target.port} is not in connect_ports`
              : `port ${target.port} is not for the web`,
        };
      return null;
    },

    async resolve(target, instead = null) {
      if (target.isAddress) return { chain: [], to: [target.host] };
      const first = instead === null ? [] : [instead];
      let found;
      try {
        found = await lookup.resolve(instead ?? target.host);
      } catch (error) {
        const why = error instanceof Error ? error.message : 'unknown';
        const to =
          instead === null
            ? failure(504, 'timeout', `no resolver answered: ${why}`)
            : failure(502, 'unreachable', `its safe form ${instead} cannot be found: ${why}`);
        return { chain: first, to };
      }
      const { addresses } = found;
      const chain = [...first, ...found.chain];
      if (addresses.length === 0) {
        const to =
          instead === null
            ? failure(502, 'not-found', 'the name has no address')
            : failure(502, 'unreachable', `its safe form ${instead} has no address`);
        return { chain, to };
      }
      // a name of both kinds is reached at its outside addresses only
      const open = addresses
        .map(({ address }) => address)
        .filter((address) => mayConnect(address, target.host, target.port));
      return { chain, to: open.length === 0 ? INSIDE : open };
    },
  };
}

/** A refusal for what failed further out. */
export function failure(status: 502 | 504, kind: PageKind, rule: string): Refusal {
  return { status, kind, action: 'error', reason: 'upstream', rule };
}

/** Whether the set holds the name or one that it is below. */
function isWithin(names: ReadonlySet<string>, host: string): boolean {
  for (let name = host; ; name = name.slice(name.indexOf('.') + 1)) {
    if (names.has(name)) return true;
    if (!name.includes('.')) return false;
  }
}

function normalAddress(text: string): string {
  const address = parseAddress(text);
  return address === null ? text : formatAddress(address);
}
