// The guard against DNS rebinding: a name from outside may not lead a browser to an address inside. Names and networks of
// `allow_private` may, and so may names with an upstream of their own.

import { compileNetworks, isPrivateAddress, matchesNetworks } from '../policy/private-address.ts';

export type RebindingGuard = {
  /** whether an answer with these addresses (4 or 16 bytes each) must be withheld; `host` is asked for only when it matters */
  forbids(addresses: readonly Uint8Array[], host: () => string): boolean;
};

/** Entries that read as an address or a network are networks; the rest are canonical names, with all below them. */
export function createRebindingGuard(allowPrivate: readonly string[]): RebindingGuard {
  const isNetwork = (entry: string): boolean => /^[0-9.]+(\/\d+)?$/.test(entry) || entry.includes(':');
  const networks = compileNetworks(allowPrivate.filter(isNetwork));
  const names = allowPrivate
    .filter((entry) => !isNetwork(entry))
    .map((name) => name.toLowerCase().replace(/^\*\./, ''));
  return {
    forbids(addresses, hostOf) {
      if (addresses.every(isPlainlyPublic)) return false;
      const inside = addresses.map(addressText).filter(isPrivateAddress);
      if (inside.length === 0 || inside.every((address) => matchesNetworks(address, networks))) return false;
      const host = hostOf();
      return !names.some((name) => host === name || host.endsWith(`.${name}`));
    },
  };
}

/** Addresses in blocks of which no part is private, told by their first byte; the rest is looked at closely. */
function isPlainlyPublic(address: Uint8Array): boolean {
  const first = address[0] as number;
  if (address.length === 4) return V4_LOOK[first] === 0;
  return first >= 0x24 && first <= 0x3f;
}

/** Blocks with private, reserved or shared parts in them. */
const V4_LOOK = Uint8Array.from({ length: 256 }, (_, first) =>
  first >= 224 || [0, 10, 100, 127, 169, 172, 192, 198, 203].includes(first) ? 1 : 0,
);

/** 4 or 16 bytes as an address in its plainest spelling. */
export function addressText(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join('.');
  const groups: string[] = [];
  for (let i = 0; i < 16; i += 2) {
    groups.push((((bytes[i] as number) << 8) | (bytes[i + 1] as number)).toString(16));
  }
  return groups.join(':');
}
