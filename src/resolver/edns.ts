// The OPT record as the exchange needs it: options added to our own, the server's cookie and the upper bits of the RCODE read
// from an answer (RFC 6891, 7830, 7873, 8467). Bounded by the message; silent on malformed bytes.

const TYPE_OPT = 41;
const OPTION_COOKIE = 10;
const OPTION_PADDING = 12;
const OPT_SIZE = 11;
const CLIENT_COOKIE = 8;

/** Whether the query, whose question ends at `end`, has nothing after it but an OPT without options. */
export function hasBareOpt(query: Uint8Array, length: number, end: number): boolean {
  return (
    length === end + OPT_SIZE &&
    query[end] === 0 &&
    query[end + 1] === 0 &&
    query[end + 2] === TYPE_OPT &&
    query[end + 9] === 0 &&
    query[end + 10] === 0 &&
    query[10] === 0 &&
    query[11] === 1
  );
}

/** Adds a COOKIE option to a query with a bare OPT; `packet` has room. Returns the new length. */
export function addCookie(
  packet: Uint8Array,
  length: number,
  client: Uint8Array,
  server: Uint8Array | null,
): number {
  const size = CLIENT_COOKIE + (server?.length ?? 0);
  let at = startOption(packet, length, OPTION_COOKIE, size);
  for (let i = 0; i < CLIENT_COOKIE; i++) packet[at++] = client[i] as number;
  if (server !== null) for (let i = 0; i < server.length; i++) packet[at++] = server[i] as number;
  return at;
}

/** Pads a query with a bare OPT to a whole number of blocks; `packet` has room. Returns the new length. */
function addPadding(packet: Uint8Array, length: number, block: number): number {
  const padded = Math.ceil((length + 4) / block) * block;
  packet.fill(0, startOption(packet, length, OPTION_PADDING, padded - length - 4), padded);
  return padded;
}

/** A copy of the query, padded when it has a bare OPT after the question that ends at `end`; 0 for no padding. */
export function paddedCopy(query: Uint8Array, end: number, block: number): Uint8Array {
  if (block === 0 || end < 0 || !hasBareOpt(query, query.length, end)) return new Uint8Array(query);
  const copy = new Uint8Array(query.length + 4 + block);
  copy.set(query);
  return copy.subarray(0, addPadding(copy, query.length, block));
}

/** Begins the one option of an OPT that ends at `length`; returns where its data goes. */
function startOption(packet: Uint8Array, length: number, code: number, size: number): number {
  packet[length - 2] = (size + 4) >>> 8;
  packet[length - 1] = (size + 4) & 0xff;
  packet[length] = 0;
  packet[length + 1] = code;
  packet[length + 2] = size >>> 8;
  packet[length + 3] = size & 0xff;
  return length + 4;
}

/** Where the type of the OPT record of a message stands; -1 when there is none, or the message is malformed before it. */
export function findOpt(message: Uint8Array, end: number): number {
  const before = uint16(message, 6) + uint16(message, 8);
  const total = before + uint16(message, 10);
  let at = end;
  for (let record = 0; record < total; record++) {
    for (;;) {
      const size = message[at];
      if (size === undefined || (size > 63 && size < 192)) return -1;
      at += size >= 192 ? 2 : size + 1;
      if (size === 0 || size >= 192) break;
    }
    if (at + 10 > message.length) return -1;
    const next = at + 10 + uint16(message, at + 8);
    if (next > message.length) return -1;
    if (record >= before && uint16(message, at) === TYPE_OPT) return at;
    at = next;
  }
  return -1;
}

/** The full RCODE of an answer whose OPT is at `opt` (-1 for none). */
export function fullRcode(message: Uint8Array, opt: number): number {
  const low = (message[3] as number) & 15;
  return opt < 0 ? low : low | ((message[opt + 4] as number) << 4);
}

/**
 * Where the server's cookie stands in the OPT at `opt`, as `offset * 64 + length`; 0 when there is no cookie; -1 when there is one
 * that is malformed or answers another client's.
 */
export function findServerCookie(message: Uint8Array, opt: number, client: Uint8Array): number {
  if (opt < 0) return 0;
  const end = opt + 10 + uint16(message, opt + 8);
  let at = opt + 10;
  while (at + 4 <= end) {
    const size = uint16(message, at + 2);
    const data = at + 4;
    if (data + size > end) return 0;
    if (uint16(message, at) === OPTION_COOKIE) {
      // The client's 8 bytes and 8 to 32 of the server (RFC 7873, section 4).
      if (size !== CLIENT_COOKIE && (size < 16 || size > 40)) return -1;
      for (let i = 0; i < CLIENT_COOKIE; i++) if (message[data + i] !== client[i]) return -1;
      // What we sent and nothing more: some servers echo an option that they do not know.
      if (size === CLIENT_COOKIE) return 0;
      return (data + CLIENT_COOKIE) * 64 + (size - CLIENT_COOKIE);
    }
    at = data + size;
  }
  return 0;
}

function uint16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
}
