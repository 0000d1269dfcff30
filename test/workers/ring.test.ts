import fc from 'fast-check';
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { MAX_RECORD, createRingMemory, openRingConsumer, openRingProducer } from '../../src/workers/ring.ts';

const encodeBytes = (value: Uint8Array, into: Uint8Array, offset: number): number => {
  if (value.length > into.length - offset) return -1;
  into.set(value, offset);
  return value.length;
};

function read(consumer: ReturnType<typeof openRingConsumer>, most = Infinity): number[][] {
  const out: number[][] = [];
  consumer.drain(most, (bytes, offset, length) => out.push([...bytes.subarray(offset, offset + length)]));
  consumer.release();
  return out;
}

describe('ring', () => {
  it('refuses a capacity that is not a power of two', () => {
    expect(() => createRingMemory(100_000)).toThrow(/power of two/);
    expect(() => createRingMemory(1024)).toThrow(/65536/);
  });

  it('gives records back in order, and says when it is full', () => {
    const memory = createRingMemory(65536);
    const producer = openRingProducer(memory, encodeBytes);
    const consumer = openRingConsumer(memory);
    let written = 0;
    while (producer.write(new Uint8Array(1000).fill(written & 255))) written += 1;
    expect(written).toBe(Math.floor(65536 / 1008));
    expect(consumer.fill()).toBeGreaterThan(0.98);
    const records = read(consumer);
    expect(records.map((r) => r[0])).toEqual(Array.from({ length: written }, (_, i) => i & 255));
    expect(consumer.fill()).toBe(0);
    expect(producer.write(new Uint8Array(10))).toBe(true);
  });

  it('refuses a record longer than the longest, and goes on', () => {
    const memory = createRingMemory(65536);
    const producer = openRingProducer(memory, encodeBytes);
    expect(producer.write(new Uint8Array(MAX_RECORD + 1))).toBe(false);
    expect(producer.write(new Uint8Array(MAX_RECORD))).toBe(true);
  });

  it('passes over a record that its reader throws on', () => {
    const memory = createRingMemory(65536);
    const producer = openRingProducer(memory, encodeBytes);
    const consumer = openRingConsumer(memory);
    producer.write(Uint8Array.of(1));
    producer.write(Uint8Array.of(2));
    expect(() =>
      consumer.drain(10, () => {
        throw new Error('bad record');
      }),
    ).toThrow('bad record');
    expect(read(consumer)).toEqual([[2]]);
  });

  it('equals a plain queue for any mix of writes and reads, across the 32-bit wrap of its counters', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.oneof(fc.uint8Array({ minLength: 1, maxLength: MAX_RECORD }), fc.integer({ min: 0, max: 20 })),
          {
            maxLength: 60,
          },
        ),
        fc.boolean(),
        (steps, nearWrap) => {
          const memory = createRingMemory(65536);
          if (nearWrap) new Int32Array(memory, 0, 2).fill(-65536);
          const producer = openRingProducer(memory, encodeBytes);
          const consumer = openRingConsumer(memory);
          const queue: number[][] = [];
          for (const step of steps) {
            if (typeof step === 'number') expect(read(consumer, step)).toEqual(queue.splice(0, step));
            else if (producer.write(step)) queue.push([...step]);
          }
          expect(read(consumer)).toEqual(queue);
        },
      ),
      { numRuns: 200 },
    );
  });

  it('counts up an open record until it is read, and never after', () => {
    const memory = createRingMemory(65536);
    const producer = openRingProducer(memory, encodeBytes);
    const consumer = openRingConsumer(memory);
    const place = producer.writeOpen(Uint8Array.of(1, 2, 3));
    producer.write(Uint8Array.of(4));
    expect(producer.add(place, 10, 20, 500)).toBe(true);
    expect(producer.add(place, 2 ** 40, 1, 300)).toBe(true);
    const seen: unknown[] = [];
    consumer.drain(10, (bytes, offset, length, added) =>
      seen.push([[...bytes.subarray(offset, offset + length)], added && { ...added }]),
    );
    expect(seen).toEqual([
      [[1, 2, 3], { count: 2, bytesIn: 2 ** 40 + 10, bytesOut: 21, micros: 500 }],
      [[4], null],
    ]);
    expect(producer.add(place, 1, 1, 1)).toBe(false);
    consumer.release();
    expect(producer.add(place, 1, 1, 1)).toBe(false);
    expect(producer.add(-1, 1, 1, 1)).toBe(false);
    while (producer.write(new Uint8Array(1000).fill(255)));
    read(consumer);
    while (producer.write(new Uint8Array(1000).fill(0)));
    expect(producer.add(place, 1, 1, 1)).toBe(false);
  });

  it('gives a reader that comes after a dead one all that was not let go of, as it was read', () => {
    const memory = createRingMemory(65536);
    const producer = openRingProducer(memory, encodeBytes);
    const place = producer.writeOpen(Uint8Array.of(1));
    producer.add(place, 5, 6, 7);
    const dead = openRingConsumer(memory);
    expect(dead.drain(10, () => {})).toBe(1);
    expect(producer.add(place, 5, 6, 7)).toBe(false);
    producer.write(Uint8Array.of(2));
    const counts: (number | null)[] = [];
    openRingConsumer(memory).drain(10, (_bytes, _offset, _length, added) =>
      counts.push(added && added.count),
    );
    expect(counts).toEqual([1, null]);
    // One that dealt with them, but died before it let go, leaves a mark.
    expect(read(openRingConsumer(memory, { after: dead.mark() }))).toEqual([[2]]);
    expect(read(openRingConsumer(memory))).toEqual([]);
  });

  it('a mark of another ring, or of nowhere, says nothing', () => {
    const memory = createRingMemory(65536);
    const producer = openRingProducer(memory, encodeBytes);
    producer.write(Uint8Array.of(1));
    const other = createRingMemory(65536);
    openRingProducer(other, encodeBytes).write(Uint8Array.of(9));
    const elsewhere = openRingConsumer(other);
    elsewhere.drain(1, () => {});
    const own = openRingConsumer(memory).mark();
    for (const after of [
      elsewhere.mark(),
      '',
      'x',
      own.replace(/[^.]*$/, '4000'),
      own.replace(/[^.]*$/, 'x'),
    ]) {
      let taken = 0;
      openRingConsumer(memory, { after }).drain(9, () => taken++);
      expect(taken).toBe(1);
    }
  });

  it('waits a while for a producer that stopped in the middle of adding, then takes what is there', () => {
    const memory = createRingMemory(65536);
    const producer = openRingProducer(memory, encodeBytes);
    const consumer = openRingConsumer(memory);
    const place = producer.writeOpen(Uint8Array.of(1));
    producer.write(Uint8Array.of(2));
    // As if the thread had been stopped with the gate in its hand.
    const gate = new Int32Array(memory, 64 + 4, 1);
    gate[0] = 1;
    const turns: number[][][] = [];
    while (turns.length < 100 && (turns.at(-1)?.length ?? 0) === 0) turns.push(read(consumer));
    expect(turns.length).toBe(20);
    expect(turns.at(-1)).toEqual([[1], [2]]);
    expect(producer.add(place, 1, 1, 1)).toBe(false);
  });

  it('a spare part is kept for who asks for none', () => {
    const memory = createRingMemory(65536);
    const producer = openRingProducer(memory, encodeBytes);
    const consumer = openRingConsumer(memory);
    while (producer.write(new Uint8Array(100), 16384));
    expect(consumer.fill()).toBeGreaterThan(0.74);
    expect(consumer.fill()).toBeLessThanOrEqual(0.75);
    expect(producer.writeOpen(new Uint8Array(16000))).toBeGreaterThan(0);
  });

  it('two threads: what one adds and the other reads is the same, to the last one', async () => {
    const memory = createRingMemory(65536);
    const total = 2_000_000;
    const source = `
      const { workerData } = require('node:worker_threads');
      import(workerData.module).then(({ openRingProducer }) => {
        const producer = openRingProducer(workerData.memory, (n, into, at) => { into.fill(n, at, at + 9); return 9; });
        const places = new Array(7).fill(-1);
        for (let n = 0; n < workerData.total; n++) {
          if (producer.add(places[n % 7], 3, 5, n % 100)) continue;
          do places[n % 7] = producer.writeOpen(n & 255); while (places[n % 7] < 0);
        }
        Atomics.store(new Int32Array(workerData.done), 0, 1);
      });`;
    const module = new URL('../../src/workers/ring.ts', import.meta.url).href;
    const done = new SharedArrayBuffer(4);
    const worker = new Worker(source, { eval: true, workerData: { memory, total, module, done } });
    // Its drains follow each other in a loop, so it must never lose patience.
    const consumer = openRingConsumer(memory, { patience: Infinity });
    const sum = { records: 0, added: 0, bytesIn: 0, bytesOut: 0 };
    for (let last = false; ;) {
      const taken = consumer.drain(5000, (_bytes, _offset, _length, added) => {
        sum.records += 1;
        sum.added += added?.count ?? 0;
        sum.bytesIn += added?.bytesIn ?? 0;
        sum.bytesOut += added?.bytesOut ?? 0;
      });
      consumer.release();
      if (taken > 0) continue;
      if (last) break;
      last = Atomics.load(new Int32Array(done), 0) === 1;
      if (!last) await new Promise((resolve) => setImmediate(resolve));
    }
    expect(sum.records + sum.added).toBe(total);
    expect(sum.added).toBeGreaterThan(0);
    expect([sum.bytesIn, sum.bytesOut]).toEqual([3 * sum.added, 5 * sum.added]);
    await worker.terminate();
  }, 90_000);

  it('carries a million records between two threads, none lost, none torn', async () => {
    const memory = createRingMemory(65536);
    const total = 1_000_000;
    const source = `
      const { workerData } = require('node:worker_threads');
      import(workerData.module).then(({ openRingProducer }) => {
        const producer = openRingProducer(workerData.memory, (n, into, at) => {
          const length = 8 + (n % 61);
          new DataView(into.buffer).setUint32(at, n);
          into.fill(n & 255, at + 4, at + length);
          return length;
        });
        for (let n = 0; n < workerData.total; ) if (producer.write(n)) n += 1;
      });`;
    const module = new URL('../../src/workers/ring.ts', import.meta.url).href;
    const worker = new Worker(source, { eval: true, workerData: { memory, total, module } });
    const consumer = openRingConsumer(memory);
    let next = 0;
    let torn = 0;
    while (next < total) {
      const taken = consumer.drain(5000, (bytes, offset, length) => {
        const n = new DataView(bytes.buffer, bytes.byteOffset).getUint32(offset);
        if (n !== next || length !== 8 + (n % 61) || bytes[offset + length - 1] !== (n & 255)) torn += 1;
        next += 1;
      });
      consumer.release();
      if (taken === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    expect(torn).toBe(0);
    await worker.terminate();
  }, 90_000);
});
