// kill -9 at any moment: what the store said is written is there, the file is whole, the chain verifies.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import Sqlite from 'better-sqlite3';
import { describe, expect, it } from 'vitest';
import { allEvents, block, createBench } from '../audit/fixture.ts';

const child = new URL('./audit-writer-child.ts', import.meta.url).pathname;

/** Starts the writer, kills it once it has told of `batches` batches, and gives the last number it told. */
const killAfter = async (dir: string, batches: number): Promise<number> => {
  const writer = spawn(process.execPath, [child, dir], { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(writer, 'exit');
  let said = '';
  for await (const chunk of writer.stdout) {
    said += String(chunk);
    if (said.split('\n').length > batches) writer.kill('SIGKILL');
  }
  const [, signal] = await exited;
  expect(signal).toBe('SIGKILL');
  return Number(said.trimEnd().split('\n').at(-1));
};

describe('a writer killed in the middle of writing', () => {
  it('M01: loses at most the batch that was not committed, and never harms the file', async () => {
    const bench = createBench();
    for (const batches of [1, 7, 30, 61]) {
      const before = batches === 1 ? 0 : allEvents(bench.reader(), { verdict: 'block' }).length;
      const last = await killAfter(bench.dir, batches);
      const db = new Sqlite(bench.file);
      expect(db.pragma('integrity_check')).toEqual([{ integrity_check: 'ok' }]);
      db.close();
      expect(bench.reader().verify()).toMatchObject({ ok: true });
      // Numbers begin at 0 with each run: this run's blocks are what was added.
      const blocks = allEvents(bench.reader(), { verdict: 'block' });
      const batch = (blocks.length - before) / 9;
      expect(Number.isInteger(batch)).toBe(true);
      expect(batch - (last + 1) / 10).toBeGreaterThanOrEqual(0);
      expect(batch - (last + 1) / 10).toBeLessThanOrEqual(1);
      const paths = new Set(blocks.slice(0, blocks.length - before).map((row) => row.path));
      for (let n = 0; n <= last; n++) expect(paths.has(`/${n}`) || n % 10 === 9).toBe(true);
    }
    const store = bench.open();
    expect(store.write([block()])).toBe(true);
    expect(bench.reader().verify()).toMatchObject({ ok: true });
    expect(bench.notes).toEqual([]);
  });
});
