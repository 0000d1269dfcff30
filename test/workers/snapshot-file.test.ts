import { mkdtempSync, readFileSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createIndexBuilder } from '../../src/blocklist/build-index.ts';
import { readSnapshot, writeSnapshot } from '../../src/workers/snapshot-file.ts';

let dir: string;
let file: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'schoolgate-snapshot-'));
  file = join(dir, 'index.snapshot');
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

function buildBuffer(names: string[]): SharedArrayBuffer {
  const builder = createIndexBuilder({
    seed: { lo: 1, hi: 2 },
    toAscii: (s) => s,
    isPublicSuffix: () => false,
  });
  const sink = builder.begin({ name: 'l', category: 'c', sealed: false, format: 'domains', match: 'format' });
  sink.chunk(names.join('\n') + '\n');
  sink.end();
  return builder.finish('digest-1').buffer;
}

describe('snapshot file', () => {
  it('gives back what was written, byte for byte', () => {
    const buffer = buildBuffer(['a.example', 'b.example']);
    writeSnapshot(file, buffer);
    const read = readSnapshot(file, 1);
    expect(read).toHaveProperty('index');
    if (!read || !('index' in read)) return;
    expect(new Uint8Array(read.index.buffer)).toEqual(new Uint8Array(buffer));
    expect(read.index.digest).toBe('digest-1');
    expect(readdirSync(dir)).toEqual(['index.snapshot']);
  });

  it('is null when there is none', () => {
    expect(readSnapshot(file, 1)).toBeNull();
  });

  it('sets every kind of damage aside and names it: one bit anywhere, a cut, an empty file, another file', () => {
    const buffer = buildBuffer(['a.example', 'b.example', 'c.example']);
    writeSnapshot(file, buffer);
    const whole = readFileSync(file);
    const expectDamage = (change: () => void): void => {
      writeFileSync(file, whole);
      change();
      const read = readSnapshot(file, 77);
      expect(read).toHaveProperty('problem');
      expect((read as { problem: string }).problem).toContain(`${file}.damaged-77`);
      expect(readdirSync(dir)).toEqual(['index.snapshot.damaged-77']);
      rmSync(`${file}.damaged-77`);
    };
    for (let at = 0; at < whole.length; at += Math.max(1, Math.floor(whole.length / 97))) {
      if (at >= 8 && at < 12) continue; // another version: see below
      expectDamage(() => {
        const changed = Buffer.from(whole);
        changed[at]! ^= 1;
        writeFileSync(file, changed);
      });
    }
    for (const size of [0, 1, 40, whole.length - 1]) expectDamage(() => truncateSync(file, size));
    expectDamage(() => writeFileSync(file, 'not a snapshot at all'.repeat(100)));
    expectDamage(() => writeFileSync(file, Buffer.concat([whole, Buffer.from('x')])));
  });

  it('leaves a snapshot of another version where it is and says so', () => {
    writeSnapshot(file, buildBuffer(['a.example']));
    const other = readFileSync(file);
    for (const version of [1, 3, 0xffff]) {
      other.writeUInt32LE(version, 8);
      writeFileSync(file, other);
      expect(readSnapshot(file, 77)).toEqual({ outdated: `${file} is of version ${version}` });
      expect(readdirSync(dir)).toEqual(['index.snapshot']);
    }
    writeSnapshot(file, buildBuffer(['b.example']));
    expect(readSnapshot(file, 77)).toHaveProperty('index');
  });
});
