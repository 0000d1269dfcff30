// Reads Prometheus text (version 0.0.4) as strictly as it is specified, for tests: it fails on anything that is not in order.

export type Sample = {
  readonly name: string;
  readonly labels: Record<string, string>;
  readonly value: number;
};
export type Family = { readonly type: string; readonly help: string; readonly samples: Sample[] };

const NAME = '[a-zA-Z_:][a-zA-Z0-9_:]*';
const LABEL = '([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\\\\n]|\\\\["\\\\n])*)"';
const LINE = new RegExp(`^(${NAME})(?:\\{(${LABEL}(?:,${LABEL})*,?)\\})? (\\S+)$`);

const unescape = (text: string): string =>
  text.replace(/\\(.)/g, (_, letter: string) => (letter === 'n' ? '\n' : letter));

/** @throws Error that shows the line which is wrong */
export function parsePrometheus(text: string): Map<string, Family> {
  const families = new Map<string, Family>();
  const seen = new Set<string>();
  let help = '';
  let current = '';
  if (!text.endsWith('\n')) throw new Error('the last line does not end');
  for (const line of text.slice(0, -1).split('\n')) {
    if (line === '') continue;
    const wrong = (why: string): Error => new Error(`${why}: ${line}`);
    const comment = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line);
    if (comment !== null) {
      const [, kind, name, rest] = comment as unknown as [string, string, string, string];
      if (kind === 'HELP') {
        help = rest;
        current = name;
        continue;
      }
      if (families.has(name) || name !== current) throw wrong('a family in two pieces');
      if (!/^(counter|gauge|histogram|summary)$/.test(rest)) throw wrong('no such type');
      families.set(name, { type: rest, help, samples: [] });
      continue;
    }
    const parts = LINE.exec(line);
    if (parts === null) throw wrong('not a sample');
    const name = parts[1]!;
    const written = parts.at(-1)!;
    const value = Number(written.replace('+Inf', 'Infinity'));
    if (Number.isNaN(value) && !/^nan$/i.test(written)) throw wrong('not a number');
    const family = families.get(current)!;
    const suffixes = family.type === 'histogram' ? ['_bucket', '_sum', '_count'] : [''];
    if (!suffixes.some((suffix) => name === current + suffix)) throw wrong(`not of ${current}`);
    const labels = Object.fromEntries(
      [...(parts[2] ?? '').matchAll(new RegExp(LABEL, 'g'))].map((m) => [m[1]!, unescape(m[2]!)]),
    );
    const key = name + JSON.stringify(labels);
    if (seen.has(key)) throw wrong('said twice');
    seen.add(key);
    family.samples.push({ name, labels, value });
  }
  return families;
}

/** The sum of all samples of a metric whose labels are these; 0 without any. */
export function total(
  families: ReadonlyMap<string, Family>,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number {
  const family = families.get(name) ?? families.get(name.replace(/_(bucket|sum|count)$/, ''));
  return (family?.samples ?? [])
    .filter((sample) => sample.name === name)
    .filter((sample) => Object.entries(labels).every(([key, value]) => sample.labels[key] === value))
    .reduce((sum, { value }) => sum + value, 0);
}
