// Reads a line of an AdBlock list, as far as it is about whole sites: `||name^`, `@@||name^`, `|name^`, bare names.
// Rules about parts of pages or kinds of request are not for a gateway that sees names; they are skipped with the reason.

import { isHostsAddress, wordsOf } from './line-reader.ts';
import { readHostsLine } from './read-hosts.ts';
import type { LineSink } from './line-reader.ts';

/** Options with which a block rule still means the whole site. */
const WHOLE_SITE: ReadonlySet<string> = new Set(['important', 'all', 'document', 'doc']);

export function readAdblockLine(line: string, sink: LineSink): void {
  const first = line.charCodeAt(0);
  if (first === 33 || (first === 91 && line.endsWith(']'))) return; // a comment, or the [Adblock Plus] header
  if (first === 35 && !/^#[@?$%]*#[^#\s]/.test(line)) return;
  if (/#[@?$%]*#/.test(line)) return sink.skip('a cosmetic rule');
  const comment = /\s#/.exec(line);
  const rule = comment ? line.slice(0, comment.index).trimEnd() : line;
  const excepts = rule.startsWith('@@');
  const body = excepts ? rule.slice(2) : rule;
  if (/^\/.*\/(?:\$[^/]*)?$/.test(body)) return sink.skip('a regular expression');
  if (/\s/.test(body)) {
    if (!excepts && isHostsAddress(wordsOf(body)[0] ?? '')) return readHostsLine(rule, sink);
    return sink.skip('more than one thing on the line');
  }
  const anchor = body.startsWith('||') ? 2 : body.startsWith('|') ? 1 : 0;
  const rest = body.slice(anchor);
  const end = rest.search(/[\^$|/:?]/);
  const host = end < 0 ? rest : rest.slice(0, end);
  const tail = end < 0 ? '' : rest.slice(end);
  // what may follow the name without narrowing it to a part of the site: `^`, `^|`, `^*`, an empty path, options
  const whole = /^(?:\^?\|?|\^\*|\/)(?:\$(.*))?$/.exec(tail);
  if (!whole) {
    if (tail.startsWith('://')) return sink.skip('a pattern');
    return sink.skip(tail.startsWith(':') ? 'a port: only part of a site' : 'a path: only part of a site');
  }
  const options = whole[1]?.split(',') ?? [];
  if (!options.every((option) => (excepts ? option === 'important' : WHOLE_SITE.has(option)))) {
    return sink.skip('a rule with options');
  }
  const starred = host.startsWith('*.');
  const name = starred ? host.slice(2) : host;
  // a bare or `|` name: AdBlock dialects disagree on what lies below it, so the name alone is taken
  const written = anchor === 2 || starred ? 'wildcard' : 'name';
  if (excepts) sink.exception(name, written);
  else sink.entry(name, written);
}
