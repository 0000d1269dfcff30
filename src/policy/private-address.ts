// Which addresses lie inside (loopback, private, link-local, tunnels into IPv4 ...), and whether an address is in a
// list of networks. The proxy's ban on private targets, the DNS rebinding guard and `serve` all ask here.

import {
  createNetworkTable,
  parseAddress,
  parseNetwork,
  type Network,
  type NetworkTable,
} from './networks.ts';

export type CompiledNetworks = NetworkTable<true>;

// IANA special-purpose registries (RFC 6890), without the documentation ranges: those lead nowhere.
const INSIDE = [
  '0.0.0.0/8', // this network
  '10.0.0.0/8', // RFC 1918
  '100.64.0.0/10', // carrier-grade NAT, RFC 6598
  '127.0.0.0/8', // loopback
  '169.254.0.0/16', // link-local
  '172.16.0.0/12', // RFC 1918
  '192.0.0.0/24', // protocol assignments
  '192.88.99.0/24', // 6to4 relays
  '192.168.0.0/16', // RFC 1918
  '198.18.0.0/15', // benchmarking
  '224.0.0.0/4', // multicast
  '240.0.0.0/4', // reserved and broadcast
  '::/96', // unspecified, loopback and the old IPv4-compatible form
  '::ffff:0:0:0/96', // IPv4-translated, RFC 2765
  '64:ff9b::/96', // NAT64: carries any IPv4 address, RFC 6052
  '64:ff9b:1::/48', // NAT64 for local use, RFC 8215
  '100::/64', // discard only
  '2001::/32', // Teredo: carries an IPv4 address
  '2002::/16', // 6to4: carries an IPv4 address
  'fc00::/7', // unique local
  'fe80::/10', // link-local
  'fec0::/10', // site-local, withdrawn
  'ff00::/8', // multicast
];

const inside = compileNetworks(INSIDE);

/**
 * True for an address that a client may not be led to from outside: loopback, private, link-local, shared, reserved,
 * multicast, and every IPv6 form that carries an IPv4 address (`::ffff:`, 6to4, NAT64, Teredo) whatever it carries.
 * Text that is no address is private too: what cannot be read cannot be trusted.
 */
export function isPrivateAddress(address: string): boolean {
  const parsed = parseAddress(address);
  if (parsed === null || (parsed.family === 4 && address.includes(':'))) return true;
  return inside.findParsed(parsed) !== null;
}

/**
 * Compiles networks such as `10.0.0.0/8`, `::1`, `2001:db8::/48`.
 * Throws an Error that names the entry when one is neither an address nor a network.
 */
export function compileNetworks(list: readonly string[]): CompiledNetworks {
  return createNetworkTable(
    list.map((text): { network: Network; value: true } => {
      const network = parseNetwork(text);
      if (network === null) throw new Error(`${text} is not an address or a network such as 10.2.0.0/24`);
      return { network, value: true };
    }),
  );
}

/** Whether one of the networks holds the address; `::ffff:` forms match as the IPv4 address they carry. */
export function matchesNetworks(address: string, networks: CompiledNetworks): boolean {
  return networks.find(address) !== null;
}
