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
  });
});
