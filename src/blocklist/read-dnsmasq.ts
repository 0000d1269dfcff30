// Reads a line of a dnsmasq configuration used as a list: `address=/a/b/…`, `server=/a/`, `local=/a/`.
// Each name covers all below it. A `server=` line with a server is a route, not a block.

import type { LineSink } from './line-reader.ts';

export function readDnsmasqLine(line: string, sink: LineSink): void {
  if (line.charCodeAt(0) === 35) return; // #
  const comment = line.indexOf(' #');
  const text = (comment < 0 ? line : line.slice(0, comment)).trimEnd();
  const equals = text.indexOf('=');
  const key = text.slice(0, Math.max(equals, 0)).trimEnd().toLowerCase();
  const value = text.slice(equals + 1).trimStart();
  if ((key !== 'address' && key !== 'server' && key !== 'local') || !value.startsWith('/')) {
    return sink.skip('a setting, not an entry');
  }
  const names = value.slice(1).split('/');
  const target = names.pop() as string;
  if (names.length === 0) return sink.skip('a setting, not an entry');
  if (key !== 'address' && target !== '') return sink.skip('forwarded to a server, not blocked');
  for (const name of names) {
    if (name === '#') sink.skip('a pattern');
    else if (name.startsWith('*.')) sink.entry(name.slice(2), 'wildcard');
    else if (name.startsWith('.')) sink.entry(name.slice(1), 'wildcard');
    else sink.entry(name, 'below');
  }
}
