// The table of standards names tests: each file must be there, with that title in it.

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const rows = readFileSync(join(root, 'docs/rfc.md'), 'utf8')
  .split('\n')
  .filter((line) => /^\| (?!RFC |-)/.test(line))
  .map(
    (line) =>
      line
        .slice(1, -1)
        .split(' | ')
        .map((cell) => cell.trim()) as [string, string, string, string],
  );

describe('docs/rfc.md', () => {
  it.each(rows)('RFC %s, %s', (_number, _title, done, tests) => {
    if (tests === 'none') return expect(done).toMatch(/^(Not done|Does not apply)/);
    for (const entry of tests.split('<br>')) {
      const [, file, title] = /^`(test\/[^`]+)`: (.+)$/.exec(entry)!;
      expect([file, existsSync(join(root, file!))]).toEqual([file, true]);
      const text = readFileSync(join(root, file!), 'utf8');
      expect([title, text.includes(title!)]).toEqual([title, true]);
    }
  });

  it('has every standard that issue and code speak of, and is linked from the README', () => {
    const numbers = rows.flatMap(([number]) => number.split(', '));
    for (const number of '1035 2181 2308 3597 4343 5452 6303 6761 6891 7766 7858 8467 8484 8767 8914 9460 9520 9619'.split(
      ' ',
    ))
      expect(numbers).toContain(number);
    expect(readFileSync(join(root, 'README.md'), 'utf8')).toContain('docs/rfc.md');
  });
});
