// A part of what `npm run bench -- --only hostile` does, in every run of the tests: broken packets and broken answers, and each
// kind of good query answered right after every thousand. Seeded: a failure comes again, with its bytes in the message.

import { describe, expect, it } from 'vitest';
import { readResponse } from '../../src/dns/response.ts';
import { query } from '../dns/fixture.ts';
import { runAnswers, runPackets } from '../support/hostile-runs.ts';
import { runDatagrams, runUpstream } from '../support/hostile-wire-runs.ts';

const SEED = 20_260_922;
const MINUTES = 240_000;

describe('hostile packets', () => {
  it(
    'half a million from clients: an answer that can be read, or silence',
    async () => {
      const { answered, counts, heapMb } = await runPackets({ amount: 500_000, seed: SEED });
      expect(answered).toBeGreaterThan(250_000);
      expect(counts).toMatchObject({ errors: 0, unrecorded: 0, waiting: 0 });
      expect(counts['blocked']).toBeGreaterThan(2000);
      expect(counts['forwarded']).toBeGreaterThan(2000);
      expect(heapMb).toBeLessThan(30);
    },
    MINUTES,
  );

  it(
    'two hundred thousand answers of an upstream: an answer that can be read and is decided on, or SERVFAIL',
    async () => {
      const { answered, counts, heapMb } = await runAnswers({ amount: 200_000, seed: SEED + 1 });
      expect(answered).toBe(200_000);
      expect(counts['failed']).toBeGreaterThan(20_000);
      expect(counts['allowed']).toBeGreaterThan(20_000);
      expect(counts['blocked']).toBeGreaterThan(2000);
      expect(heapMb).toBeLessThan(30);
    },
    MINUTES,
  );

  it.each(['batched', 'dgram'] as const)(
    'a hundred thousand by UDP, %s',
    async (way) => {
      const { answered, heapMb } = await runDatagrams(way, { amount: 100_000, seed: SEED + 2 });
      expect(answered).toBeGreaterThan(40_000);
      expect(heapMb).toBeLessThan(30);
    },
    MINUTES,
  );

  it.each(['batched', 'dgram'] as const)(
    'an upstream that lies by UDP and TCP, %s: every query is answered, and good ones right',
    async (way) => {
      const { answered, counts } = await runUpstream(way, { amount: 6000, seed: SEED + 3 });
      expect(answered).toBe(6000);
      expect(counts['mismatched']).toBeGreaterThan(1000);
      expect(counts['inFlight']).toBe(0);
    },
    MINUTES,
  );

  it('a response of nothing but pointers is read in few steps', () => {
    const head = query('a.example', { edns: null });
    head.set([0x81, 0x80, 0, 1, 0x17, 0x40], 2);
    // As many records as fit, each a CNAME to the data of the one before it.
    const parts: Buffer[] = [head];
    let last = 12;
    let at = head.length;
    for (let i = 0; i < 0x1740 && at < 65_000; i++) {
      const record = Buffer.from([0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 60, 0, 2, 0xc0 | (last >> 8), last & 255]);
      parts.push(record);
      if (at + 12 < 0x3fff) last = at + 12;
      at += record.length;
    }
    const start = performance.now();
    expect(readResponse(Buffer.concat(parts))).toBeNull();
    // Two hundred times what it takes; a reader that follows each pointer to its end would take minutes.
    expect(performance.now() - start).toBeLessThan(2000);
  });
});
