// Reads the lines of a response policy zone: `name CNAME .` blocks that name, `*.name CNAME .` all below it,
// `CNAME rpz-passthru.` is an exception, `32.1.2.0.192.rpz-ip` an address in an answer. Other triggers are skipped.

import { isBlank, wordsOf } from './line-reader.ts';
import type { LineReader, LineSink, Written } from './line-reader.ts';

/** A parenthesis open for longer than this is a slip of the pen, not a record. */
const MAX_RECORD_LINES = 32;
const TRIGGER = /(?:^|\.)rpz-(?:ip|client-ip|nsdname|nsip)$/;
const ADDRESS_TRIGGER = /^([0-9]{1,3})\.([0-9a-fz.]{2,79})\.rpz-ip$/i;

/** A reader for one zone: it remembers the origin, the last owner and an open parenthesis. Wants untrimmed lines. */
export function createRpzReader(): LineReader {
  let origin = '';
  let owner = '';
  let depth = 0;
  let inside = 0;

  function relative(name: string): string | null {
    if (!name.endsWith('.')) return name;
    const bare = name.slice(0, -1).toLowerCase();
    if (origin === '') return bare;
    return bare.endsWith(`.${origin}`) ? bare.slice(0, -origin.length - 1) : null;
  }

  function record(type: string, data: string, sink: LineSink): void {
    if (type !== 'CNAME' && type !== 'A' && type !== 'AAAA') return sink.skip('a setting, not an entry');
    const name = relative(owner);
    if (name === null) return sink.skip('outside the zone');
    const starred = name.startsWith('*.');
    const bare = starred ? name.slice(2) : name;
    const written: Written = starred ? 'wildcard' : 'name';
    const target = type === 'CNAME' ? data.toLowerCase().replace(/\.$/, '') : '';
    const address = ADDRESS_TRIGGER.exec(bare);
    if (address !== null && !starred && target !== 'rpz-passthru' && target !== 'rpz-tcp-only') {
      return sink.addresses(networkOf(address[1] as string, address[2] as string));
    }
    if (TRIGGER.test(bare.toLowerCase()) || target === 'rpz-tcp-only') {
      return sink.skip('an RPZ trigger or action that is not a blocked name');
    }
    // the older way to say passthru is a CNAME to the name itself
    const itself =
      target !== '' && (target === bare.toLowerCase() || (starred && target === name.toLowerCase()));
    if (target === 'rpz-passthru' || itself) sink.exception(bare, written);
    else sink.entry(bare, written);
  }

  return (line, sink) => {
    const semicolon = line.indexOf(';');
    const text = (semicolon < 0 ? line : line.slice(0, semicolon)).replace(/"[^"]*"/g, '""');
    const open = depth > 0;
    for (const c of text) depth = Math.max(0, depth + (c === '(' ? 1 : c === ')' ? -1 : 0));
    inside = depth > 0 ? inside + 1 : 0;
    if (inside > MAX_RECORD_LINES) depth = 0;
    if (open) return;
    const words = wordsOf(text);
    if (words.length === 0) return;
    if ((words[0] as string).startsWith('$')) {
      if (/^\$origin$/i.test(words[0] as string)) origin = (words[1] ?? '').toLowerCase().replace(/\.$/, '');
      return;
    }
    if (!isBlank(text.charCodeAt(0))) owner = words.shift() as string;
    // TTL and class may come in either order (RFC 1035, 5.1)
    while (/^(?:[0-9]+[smhdw]?|IN)$/i.test(words[0] ?? '')) words.shift();
    const type = (words[0] ?? '').toUpperCase();
    if (type === 'SOA') {
      if (origin === '' && owner.endsWith('.')) origin = owner.toLowerCase().slice(0, -1);
      return;
    }
    if (type === 'NS') return;
    record(type, words[1] ?? '', sink);
  };
}

/** `1.2.0.192` and `32` as `192.0.2.1/32`; in an IPv6 address `zz` stands for `::`. */
function networkOf(bits: string, reversed: string): string {
  const parts = reversed.split('.').reverse();
  if (parts.length === 4 && !parts.includes('zz')) return `${parts.join('.')}/${bits}`;
  const text = parts.map((part) => (part.toLowerCase() === 'zz' ? '' : part)).join(':');
  return `${text.startsWith(':') ? ':' : ''}${text}${text.endsWith(':') ? ':' : ''}/${bits}`;
}
