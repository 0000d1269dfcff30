// Domain names in the one form the gateway compares them in: lower case, A-labels, no final dot.
// Knows the shape of names and addresses, not who owns them: public suffixes are the caller's knowledge.

const MAX_NAME = 253;
const MAX_LABEL = 63;

/**
 * The canonical form of a host name, or null when the text is none: empty, longer than 253, an empty label or one
 * longer than 63, or a character other than letters, digits, `-` and `_` (lists and resolvers meet all of these).
 * `toAscii` turns a Unicode name into A-labels and answers '' when it cannot; it is asked only for such names.
 * A dotted IPv4 address passes, see `isIpLiteral`; any other name that ends in a number is refused, because
 * clients read such hosts as addresses.
 */
export function canonicalName(text: string, toAscii: (s: string) => string): string | null {
  const shape = shapeOf(text);
  if (shape === 'bad') return null;
  let name = text;
  if (shape === 'unicode') {
    name = toAscii(text);
    const again = shapeOf(name);
    if (again === 'bad' || again === 'unicode') return null;
  }
  if (shape !== 'plain') name = name.toLowerCase();
  if (name.charCodeAt(name.length - 1) === 46) name = name.slice(0, -1);
  return endsInNumber(name) && !isIpv4(name) ? null : name;
}

type Shape = 'plain' | 'upper' | 'unicode' | 'bad';

function shapeOf(text: string): Shape {
  const length = text.length;
  if (length === 0 || length > MAX_NAME + 1) return 'bad';
  let upper = false;
  let label = 0;
  for (let i = 0; i < length; i++) {
    const c = text.charCodeAt(i);
    if (c === 46) {
      if (label === 0 || label > MAX_LABEL) return 'bad';
      label = 0;
      continue;
    }
    label++;
    if ((c >= 97 && c <= 122) || (c >= 48 && c <= 57) || c === 45 || c === 95) continue;
    if (c >= 65 && c <= 90) upper = true;
    else return c > 127 ? 'unicode' : 'bad';
  }
  if (label > MAX_LABEL) return 'bad';
  if (label === 0 ? length === 1 : length > MAX_NAME) return 'bad';
  return upper ? 'upper' : 'plain';
}

function endsInNumber(name: string): boolean {
  const last = name.charCodeAt(name.length - 1);
  if (!((last >= 48 && last <= 57) || (last >= 97 && last <= 102) || last === 120)) return false;
  return /^(?:[0-9]+|0x[0-9a-f]*)$/.test(name.slice(name.lastIndexOf('.') + 1));
}

/** Whether a canonical name is an address: dotted IPv4 without leading zeros, or IPv6 without brackets or zone. */
export function isIpLiteral(name: string): boolean {
  return isIpv4(name) || isIpv6(name);
}

function isIpv4(text: string): boolean {
  const length = text.length;
  // nearly every text is a name: its last character tells most of them from an address
  if (length < 7 || length > 15 || !isDigit(text.charCodeAt(length - 1))) return false;
  let dots = 0;
  let digits = 0;
  let value = 0;
  for (let i = 0; i < length; i++) {
    const c = text.charCodeAt(i);
    if (c === 46) {
      if (digits === 0) return false;
      dots++;
      digits = 0;
      value = 0;
    } else {
      if (!isDigit(c) || (digits > 0 && value === 0)) return false;
      value = value * 10 + c - 48;
      digits++;
      if (value > 255) return false;
    }
  }
  return dots === 3 && digits > 0;
}

const isDigit = (c: number): boolean => c >= 48 && c <= 57;

function isIpv6(text: string): boolean {
  if (text.length > 45 || !colonNearStart(text)) return false;
  const halves = text.split('::');
  if (halves.length > 2) return false;
  let groups = 0;
  for (const [at, half] of halves.entries()) {
    if (half === '') continue;
    const parts = half.split(':');
    for (const [i, part] of parts.entries()) {
      const last = at === halves.length - 1 && i === parts.length - 1;
      if (/^[0-9a-f]{1,4}$/i.test(part)) groups += 1;
      else if (last && isIpv4(part)) groups += 2;
      else return false;
    }
  }
  return halves.length === 2 ? groups < 8 : groups === 8;
}

/** The first colon of an IPv6 address comes after four digits at most. */
function colonNearStart(text: string): boolean {
  for (let i = 0; i < 5; i++) if (text.charCodeAt(i) === 58) return true;
  return false;
}

/** The last `suffix + 1` labels of a canonical name: the entry that a match of that suffix number stands for. */
export function suffixName(name: string, suffix: number): string {
  let at = name.length;
  for (let label = 0; label <= suffix && at > 0; label++) at = name.lastIndexOf('.', at - 1);
  return name.slice(at + 1);
}
