// The address of a client as everything else here writes it.

const MAPPED = '::ffff:';

/** Without the zone, which is of this machine and not of the client, and without the form of IPv4 in IPv6. */
export function plainAddress(address: string): string {
  if (address.startsWith(MAPPED)) return address.slice(MAPPED.length);
  const zone = address.indexOf('%');
  return zone < 0 ? address : address.slice(0, zone);
}
