// Hostile runs in one process: broken packets from clients and broken answers from upstreams, without a socket between. After
// every thousand each kind of good query must be answered right. The first thing that is wrong ends a run with its bytes.

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { ANSWER_ROOM } from '../../src/dns/types.ts';
import type { DnsHandler, Transport } from '../../src/dns/types.ts';
import type { Exchange } from '../../src/resolver/types.ts';
import { query } from '../dns/fixture.ts';
import { createMutants, createRandom } from './dns-mutants.ts';
import type { Mutants, Random } from './dns-mutants.ts';
import {
  GOOD_CLIENT,
  goodQueries,
  hostileHandler,
  isHonest,
  problemOf,
  readQuestion,
  trueAnswer,
} from './hostile-gateway.ts';
import { seedAnswers, seedQueries } from './hostile-seeds.ts';

export const EACH = 1000;

export type RunOptions = {
  readonly amount: number;
  readonly seed: number;
  /** hears of what is being done, for a watchdog that wants to know where a run hangs */
  readonly watch?: (packet: Uint8Array, length: number) => void;
};

export type RunResult = {
  readonly amount: number;
  readonly answered: number;
  readonly perSecond: number;
  /** growth between a tenth of the way and the end, after the collector has run */
  readonly heapMb: number;
  readonly rssMb: number;
  readonly counts: Record<string, number>;
};

/** What was found, with the bytes that bring it about again. */
export class HostileFinding extends Error {
  constructor(problem: string, packet: Uint8Array, answer: Uint8Array | null = null) {
    super(`${problem}\n  packet: ${hex(packet)}${answer === null ? '' : `\n  answer: ${hex(answer)}`}`);
  }
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

// The collector is asked for here, so that a run needs no flag.
setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Measures what a run adds to memory, from a tenth of the way on: before that, tables and caches fill. */
export function createMemoryWatch(amount: number): {
  at(done: number): void;
  growth(): { heapMb: number; rssMb: number };
} {
  const look = (): { heap: number; rss: number } => {
    collect();
    const { heapUsed, arrayBuffers, rss } = process.memoryUsage();
    return { heap: heapUsed + arrayBuffers, rss };
  };
  let before = look();
  let taken = false;
  return {
    at(done) {
      if (taken || done < amount / 10) return;
      taken = true;
      before = look();
    },
    growth() {
      const after = look();
      const mb = (bytes: number): number => Math.round((bytes / 1e6) * 10) / 10;
      return { heapMb: mb(after.heap - before.heap), rssMb: mb(after.rss - before.rss) };
    },
  };
}

/** Asks each kind of good query and throws when one is not answered right within a few turns of the event loop. */
export async function checkGood(handler: DnsHandler, turn: number): Promise<void> {
  for (const { what, packet, problem } of goodQueries(turn)) {
    const out = new Uint8Array(ANSWER_ROOM);
    let late = null as Uint8Array | null;
    const later = () => (bytes: Uint8Array) => void (late = bytes.slice());
    const size = handler.handle(packet, packet.length, handler.asker(GOOD_CLIENT), 'udp', out, later);
    for (let i = 0; i < 100 && size === 0 && late === null; i++) await new Promise((go) => setImmediate(go));
    const answer = size > 0 ? out.subarray(0, size) : late;
    if (answer === null) throw new HostileFinding(`a good query (${what}) got no answer`, packet);
    const wrong = problemOf(packet, packet.length, answer, answer.length, 'udp') ?? problem(answer);
    if (wrong !== null)
      throw new HostileFinding(`a good query (${what}): the answer ${wrong}`, packet, answer);
  }
}

/** Broken answers to whatever is asked, or none, or true ones; the truth about honest names. */
function createLiar(random: Random): Exchange {
  const liars = [1, 28, 65].map((type) => createMutants(seedAnswers('a.example', type), random));
  const seedEnd = query('a.example', { edns: null }).length;
  return {
    ask(packet, done) {
      const { end } = readQuestion(packet, packet.length);
      const answer = isHonest(packet) ? trueAnswer(packet, end) : lie(packet, end);
      queueMicrotask(() => done(answer));
    },
    query: () => Promise.reject(new Error('nobody asks so')),
    upstreams: () => [],
    stats: () => ({}),
    close() {},
  };

  /** The exchange lets through only what echoes the question: so does this. */
  function lie(packet: Uint8Array, end: number): Uint8Array | null {
    const what = random(20);
    if (what === 0) return null;
    if (what < 4) return trueAnswer(packet, end);
    const mutants = liars[random(3)] as Mutants;
    const length = mutants.next();
    const rest = mutants.bytes.subarray(Math.min(length, seedEnd), length);
    const answer = Buffer.concat([packet.subarray(0, end), rest]);
    answer.set(mutants.bytes.subarray(2, 12), 2);
    answer[2] = 0x80 | ((answer[2] as number) & 7);
    answer[4] = 0;
    answer[5] = 1;
    return answer;
  }
}

const isFailure = (answer: Uint8Array): boolean => ((answer[3] as number) & 15) === 2;

function createJudge(
  handler: DnsHandler,
  transport: Transport,
): {
  answered(): number;
  later(packet: Uint8Array, length: number): () => (bytes: Uint8Array) => void;
  take(packet: Uint8Array, length: number, answer: Uint8Array, size: number): void;
  /** throws what was found after the handler had returned */
  settle(): void;
} {
  let answered = 0;
  let found: HostileFinding | null = null;
  const kind = transport === 'udp' ? 'udp' : 'stream';
  const judge = (
    packet: Uint8Array,
    length: number,
    answer: Uint8Array,
    size: number,
  ): HostileFinding | null => {
    answered++;
    let problem = problemOf(packet, length, answer, size, kind);
    if (isFailure(answer) && handler.stats()['errors'] !== 0) problem ??= 'an error of our own';
    return problem === null
      ? null
      : new HostileFinding(problem, packet.subarray(0, length), answer.subarray(0, size));
  };
  return {
    answered: () => answered,
    later: (packet, length) => () => {
      const copy = Uint8Array.from(packet.subarray(0, length));
      let told = false;
      return (bytes) => {
        if (told) found ??= new HostileFinding('a second answer', copy, bytes);
        told = true;
        found ??= judge(copy, length, bytes, bytes.length);
      };
    },
    take(packet, length, answer, size) {
      const problem = judge(packet, length, answer, size);
      if (problem !== null) throw problem;
    },
    settle() {
      if (found !== null) throw found;
    },
  };
}

/** Broken packets from many clients to the handler, over an upstream that lies as well. */
export async function runPackets({ amount, seed, watch }: RunOptions): Promise<RunResult> {
  const random = createRandom(seed);
  const mutants = createMutants(seedQueries(), random);
  let now = 1_700_000_000_000;
  const handler = hostileHandler(createLiar(random), () => now);
  const memory = createMemoryWatch(amount);
  const out = new Uint8Array(ANSWER_ROOM);
  const judges = { udp: createJudge(handler, 'udp'), tcp: createJudge(handler, 'tcp') };
  const start = performance.now();
  for (let done = 1; done <= amount; done++) {
    const length = mutants.next();
    watch?.(mutants.bytes, length);
    const transport = random(4) === 0 ? 'tcp' : 'udp';
    const judge = judges[transport];
    const asker = handler.asker4((10 << 24) | random(1 << 17));
    const later = judge.later(mutants.bytes, length);
    const size = handler.handle(mutants.bytes, length, asker, transport, out, later);
    if (size > 0) judge.take(mutants.bytes, length, out, size);
    if (done % 100 > 0) continue;
    await new Promise((go) => setImmediate(go));
    now += 70;
    if (done % EACH > 0) continue;
    judges.udp.settle();
    judges.tcp.settle();
    await checkGood(handler, done / EACH);
    memory.at(done);
  }
  const seconds = (performance.now() - start) / 1000;
  return {
    amount,
    answered: judges.udp.answered() + judges.tcp.answered(),
    perSecond: Math.round(amount / seconds),
    ...memory.growth(),
    counts: noErrors(handler),
  };
}

/** Broken answers to a client's good question, each asked for anew. */
export async function runAnswers({ amount, seed, watch }: RunOptions): Promise<RunResult> {
  const random = createRandom(seed);
  let now = 1_700_000_000_000;
  const liar = createLiar(random);
  const seen: Exchange = {
    ...liar,
    ask: (packet, done) =>
      liar.ask(packet, (answer) => {
        if (answer !== null) watch?.(answer, answer.length);
        done(answer);
      }),
  };
  const handler = hostileHandler(seen, () => now, {
    cache: { maxBytes: 4 << 20, leastTtl: 0, mostTtl: 60, staleMs: 0, prefetch: true },
  });
  const questions = [1, 28, 65, 16, 64, 46, 5].flatMap((type) =>
    ['a.example', 'b.other.example'].flatMap((name) => [
      query(name, { type, edns: { dnssecOk: true } }),
      query(name, { type, edns: null }),
    ]),
  );
  const out = new Uint8Array(ANSWER_ROOM);
  const judge = createJudge(handler, 'tcp');
  const memory = createMemoryWatch(amount);
  const start = performance.now();
  for (let done = 1; done <= amount; done++) {
    const packet = questions[random(questions.length)] as Buffer;
    const asker = handler.asker4((10 << 24) | random(1 << 17));
    const size = handler.handle(packet, packet.length, asker, 'tcp', out, judge.later(packet, packet.length));
    if (size > 0) judge.take(packet, packet.length, out, size);
    // Some are asked for again while they are still kept.
    if (random(3) === 0) {
      await Promise.resolve();
      now += random(4) === 0 ? random(5000) : 70_000;
    }
    if (done % EACH > 0) continue;
    await new Promise((go) => setImmediate(go));
    judge.settle();
    await checkGood(handler, done / EACH);
    memory.at(done);
  }
  const seconds = (performance.now() - start) / 1000;
  return {
    amount,
    answered: judge.answered(),
    perSecond: Math.round(amount / seconds),
    ...memory.growth(),
    counts: noErrors(handler),
  };
}

export function noErrors(handler: DnsHandler): Record<string, number> {
  const counts = handler.stats();
  if (counts['errors'] !== 0 || counts['unrecorded'] !== 0 || counts['waiting'] !== 0)
    throw new HostileFinding(`the handler counted ${JSON.stringify(counts)}`, new Uint8Array());
  return counts;
}
