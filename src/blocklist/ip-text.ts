// Addresses and ranges of addresses read from text, as numbers: one address, `address/bits` or `first-last`. What a
// range means is not said here; names are read in names.ts.

/** Both ends belong to it, as 32-bit words: one for IPv4, four for IPv6. `::ffff:` forms are the IPv4 they carry. */
export type IpRange = {
  readonly family: 4 | 6;
  readonly first: readonly number[];
  readonly last: readonly number[];
};

/** The longest text that can be a range of two IPv6 addresses, with room for blanks around the hyphen. */
const MAX_TEXT = 100;
/** Wider than this is a slip, not a list of servers: a 256th of IPv4, a 65,536th of IPv6. */
const WIDEST = { 4: 8, 6: 16 } as const;

/** Four decimal parts without leading zeros as one number, or -1; read by hand because every new client comes by here. */
export function readIpv4(text: string): number {
  let word = 0;
  let part = -1;
  let dots = 0;
  for (let i = 0; i <= text.length; i++) {
    const c = i === text.length ? 46 : text.charCodeAt(i);
    if (c === 46) {
      if (part < 0 || ++dots > 4) return -1;
      word = word * 256 + part;
      part = -1;
    } else if (c >= 48 && c <= 57 && part !== 0) {
      part = Math.max(part, 0) * 10 + c - 48;
      if (part > 255) return -1;
    } else return -1;
  }
  return dots === 4 ? word : -1;
}

/** The eight groups of an IPv6 address (RFC 4291, 2.2) as four words, or null. */
export function readIpv6(text: string): number[] | null {
  const halves = text.split('::');
  if (halves.length > 2) return null;
  const groups: number[] = [];
  let gap = -1;
  for (const [at, half] of halves.entries()) {
    if (at === 1) gap = groups.length;
    if (half === '' && halves.length === 2) continue;
    const parts = half.split(':');
    for (const [i, part] of parts.entries()) {
      if (part.includes('.')) {
        const word = at === halves.length - 1 && i === parts.length - 1 ? readIpv4(part) : -1;
        if (word < 0) return null;
        groups.push(Math.floor(word / 65536), word % 65536);
      } else if (/^[0-9a-fA-F]{1,4}$/.test(part)) groups.push(parseInt(part, 16));
      else return null;
    }
  }
  // `::` stands for at least one group of zeros
  if (gap < 0 ? groups.length !== 8 : groups.length > 7) return null;
  if (gap >= 0) groups.splice(gap, 0, ...new Array<number>(8 - groups.length).fill(0));
  return [0, 2, 4, 6].map((i) => (groups[i] ?? 0) * 65536 + (groups[i + 1] ?? 0));
}

type Words = { readonly family: 4 | 6; readonly words: readonly number[] };

function readAddress(text: string): Words | null {
  if (!text.includes(':')) {
    const word = readIpv4(text);
    return word < 0 ? null : { family: 4, words: [word] };
  }
  const words = readIpv6(text);
  if (words === null) return null;
  return words[0] === 0 && words[1] === 0 && words[2] === 0xffff
    ? { family: 4, words: [words[3] as number] }
    : { family: 6, words };
}

/** The range that the text stands for; `none` when it is not one, `wide` when it takes in much of the internet. */
export function readRange(text: string): IpRange | 'none' | 'wide' {
  if (text.length > MAX_TEXT) return 'none';
  const hyphen = text.indexOf('-');
  if (hyphen >= 0) return readEnds(text.slice(0, hyphen).trimEnd(), text.slice(hyphen + 1).trimStart());
  const slash = text.indexOf('/');
  const host = slash < 0 ? text : text.slice(0, slash);
  const address = readAddress(host);
  if (address === null) return 'none';
  const { family, words } = address;
  if (slash < 0) return { family, first: words, last: words };
  const digits = text.slice(slash + 1);
  if (!/^[0-9]{1,3}$/.test(digits)) return 'none';
  // a mapped network is written with IPv6 bits but lies in IPv4
  const bits = Number(digits) - (family === 4 && host.includes(':') ? 96 : 0);
  if (bits < 0 || bits > words.length * 32) return 'none';
  if (bits < WIDEST[family]) return 'wide';
  // bits of the address below the prefix are taken as zero, as most programs take them
  const ones = words.map((_, i) => 2 ** Math.min(32, Math.max(0, (i + 1) * 32 - bits)) - 1);
  const last = words.map((word, i) => (word | (ones[i] as number)) >>> 0);
  return { family, first: last.map((word, i) => word - (ones[i] as number)), last };
}

function readEnds(from: string, to: string): IpRange | 'none' | 'wide' {
  const first = readAddress(from);
  const last = readAddress(to);
  if (first === null || last === null || first.family !== last.family) return 'none';
  const { family } = first;
  const differ = first.words.findIndex((word, i) => word !== last.words[i]);
  if (differ >= 0 && (first.words[differ] as number) > (last.words[differ] as number)) return 'none';
  // the width is that of the whole blocks of the widest prefix: a range within one, or across two, is narrow enough
  const step = 2 ** (32 - WIDEST[family]);
  if ((last.words[0] as number) - (first.words[0] as number) >= step) return 'wide';
  return { family, first: first.words, last: last.words };
}
