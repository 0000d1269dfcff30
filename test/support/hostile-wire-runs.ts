// Hostile runs over real sockets on loopback: broken datagrams by both ways of UDP, broken frames over TCP and DoT, broken
// requests over DoH, and an upstream that lies by UDP and TCP. Good queries in between, as in hostile-runs.ts.

import { createSocket } from 'node:dgram';
import type { Socket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { Server } from 'node:net';
import { openDnsDoh } from '../../src/dns/server-doh.ts';
import { openDnsDot } from '../../src/dns/server-dot.ts';
import { openDnsTcp } from '../../src/dns/server-tcp.ts';
import type { DnsServer } from '../../src/dns/types.ts';
import { openDnsUdpBatch } from '../../src/dns/udp-batch.ts';
import { openDnsUdpDgram } from '../../src/dns/udp-dgram.ts';
import { createExchange } from '../../src/resolver/exchange.ts';
import { createRandomIds } from '../../src/resolver/random-ids.ts';
import type { Exchange } from '../../src/resolver/types.ts';
import { createBatchedPools } from '../../src/resolver/udp-pool-batched.ts';
import { loadLibc } from '../../src/udp/libc.ts';
import { createTurn } from '../../src/udp/turn.ts';
import { query } from '../dns/fixture.ts';
import { testCertificate, testKey } from './certificate.ts';
import { createMutants, createRandom } from './dns-mutants.ts';
import type { Mutants } from './dns-mutants.ts';
import { dohClient, dotClient, framed, tcpClient } from './dns-streams.ts';
import type { DohClient } from './dns-streams.ts';
import {
  goodQueries,
  hostileHandler,
  isHonest,
  problemOf,
  readQuestion,
  trueAnswer,
} from './hostile-gateway.ts';
import { EACH, HostileFinding, checkGood, createMemoryWatch, noErrors } from './hostile-runs.ts';
import type { RunOptions, RunResult } from './hostile-runs.ts';
import { seedAnswers, seedQueries } from './hostile-seeds.ts';

const HOST = '127.0.0.1';
const PATIENCE_MS = 20_000;
const SETTINGS = { serve: ['127.0.0.0/8', '10.0.0.0/8'] };
const identity = {
  cert: testCertificate,
  key: testKey,
  ticketKeys: new Uint8Array(48).fill(1),
  host: 'dns.test',
};

const turnOfLoop = (): Promise<void> => new Promise((go) => setImmediate(go));

/** True answers, and at once: here it is the clients that are bad. */
const honest: Exchange = {
  ask(packet, done) {
    const answer = trueAnswer(packet, readQuestion(packet, packet.length).end);
    queueMicrotask(() => done(answer));
  },
  query: () => Promise.reject(new Error('nobody asks so')),
  upstreams: () => [],
  stats: () => ({}),
  close() {},
};

async function bound(address = HOST): Promise<Socket> {
  const socket = createSocket({ type: 'udp4', recvBufferSize: 4 << 20 });
  socket.bind(0, address);
  await once(socket, 'listening');
  return socket;
}

/** Asks by UDP until an answer comes, as clients do; a flood may cost a datagram. */
async function checkGoodByUdp(port: number, turn: number): Promise<void> {
  const socket = await bound();
  try {
    for (const { what, packet, problem } of goodQueries(turn)) {
      const came = once(socket, 'message');
      const again = setInterval(() => socket.send(packet, port, HOST), 500);
      const late = setTimeout(() => socket.emit('message', Buffer.alloc(0)), PATIENCE_MS);
      socket.send(packet, port, HOST);
      const [answer] = (await came) as [Buffer];
      clearInterval(again);
      clearTimeout(late);
      if (answer.length === 0) throw new HostileFinding(`a good query (${what}) got no answer`, packet);
      const wrong = problemOf(packet, packet.length, answer, answer.length, 'udp') ?? problem(answer);
      if (wrong !== null)
        throw new HostileFinding(`a good query (${what}): the answer ${wrong}`, packet, answer);
    }
  } finally {
    socket.close();
  }
}

/** Broken datagrams; each answer that comes is judged by its own packet while no other has its id. */
export async function runDatagrams(way: 'batched' | 'dgram', options: RunOptions): Promise<RunResult> {
  const { amount, seed, watch } = options;
  const random = createRandom(seed);
  const mutants = createMutants(seedQueries(), random, 2400);
  const handler = hostileHandler(honest, Date.now, SETTINGS);
  const at = { address: HOST, port: 0, handler };
  let server: DnsServer;
  if (way === 'dgram') server = await openDnsUdpDgram(at);
  else server = openDnsUdpBatch({ ...at, libc: await loadLibc(), turn: createTurn() });
  const clients = await Promise.all(Array.from({ length: 8 }, (_, i) => bound(`127.0.0.${10 + i}`)));
  let answered = 0;
  let found: HostileFinding | null = null;
  const sent = clients.map(() => new Map<number, Buffer | null>());
  clients.forEach((socket, i) =>
    socket.on('message', (answer) => {
      answered++;
      if (answer.length < 12) return void (found ??= new HostileFinding('a short answer', answer));
      const packet = sent[i]!.get(answer.readUInt16BE(0));
      if (packet === undefined) return void (found ??= new HostileFinding('an answer to nobody', answer));
      if (packet === null) return;
      const problem = problemOf(packet, packet.length, answer, answer.length, 'udp');
      if (problem !== null) found ??= new HostileFinding(problem, packet, answer);
    }),
  );
  const memory = createMemoryWatch(amount);
  const start = performance.now();
  for (let done = 1; done <= amount; done++) {
    const packet = Buffer.from(mutants.bytes.subarray(0, mutants.next()));
    watch?.(packet, packet.length);
    const i = random(clients.length);
    if (packet.length >= 2) {
      const id = packet.readUInt16BE(0);
      const table = sent[i]!;
      table.set(id, table.has(id) ? null : packet);
    }
    clients[i]!.send(packet, server.port, HOST);
    if (done % 32 === 0) await turnOfLoop();
    if (done % EACH > 0) continue;
    await checkGoodByUdp(server.port, done / EACH);
    // Whatever was sent before the good queries was answered before them.
    for (let n = 0; n < 3; n++) await turnOfLoop();
    if (found !== null) throw found;
    if (done % (EACH * 10) === 0) for (const table of sent) table.clear();
    memory.at(done);
  }
  const seconds = (performance.now() - start) / 1000;
  const counts = { ...noErrors(handler), ...server.stats() };
  for (const socket of clients) socket.close();
  await server.close();
  if (counts['errors'] !== 0)
    throw new HostileFinding(`the server counted ${JSON.stringify(counts)}`, new Uint8Array());
  return { amount, answered, perSecond: Math.round(amount / seconds), ...memory.growth(), counts };
}

/** Broken frames: most with a true length before them, and more of them on one connection than one connection may send. */
export async function runFrames(
  over: 'tcp' | 'dot',
  { amount, seed, watch }: RunOptions,
): Promise<RunResult> {
  const random = createRandom(seed);
  const mutants = createMutants(seedQueries(), random);
  const handler = hostileHandler(honest, Date.now, SETTINGS);
  const at = { address: HOST, port: 0, handler };
  const server = over === 'tcp' ? await openDnsTcp(at) : await openDnsDot({ ...at, identity });
  const dial = () => (over === 'tcp' ? tcpClient(server.port) : dotClient(server.port));
  let client = dial();
  let answered = 0;
  const memory = createMemoryWatch(amount);
  const start = performance.now();
  for (let done = 20; done <= amount; done += 20) {
    const batch = Array.from({ length: 20 }, () => Buffer.from(mutants.bytes.subarray(0, mutants.next())));
    // What is no query ends the connection; so that the rest is read too, most of these are left out.
    const bytes = framed(
      ...batch.filter((packet) => (packet.length > 11 && (packet[2] as number) < 0x80) || random(50) === 0),
    );
    watch?.(bytes, bytes.length);
    if (random(40) === 0 && bytes.length > 0) bytes[random(bytes.length)] = random(256);
    client.socket.write(bytes);
    for (let n = 0; n < 4; n++) await turnOfLoop();
    if (client.socket.destroyed || !client.socket.writable || random(40) === 0) {
      answered += client.answers.length;
      client.socket.destroy();
      client = dial();
    }
    if (done % EACH > 0) continue;
    const good = goodQueries(done / EACH);
    const kept = dial();
    kept.socket.write(framed(...good.map(({ packet }, i) => withId(packet, i))));
    const answers = await kept.until(good.length, PATIENCE_MS);
    good.forEach(({ what, packet, problem }, i) => {
      const answer = answers.find((bytes) => bytes.readUInt16BE(0) === i) ?? Buffer.alloc(0);
      const wrong = problemOf(packet, packet.length, answer, answer.length, 'stream') ?? problem(answer);
      if (wrong !== null)
        throw new HostileFinding(`a good query (${what}): the answer ${wrong}`, packet, answer);
    });
    kept.socket.destroy();
    memory.at(done);
  }
  const seconds = (performance.now() - start) / 1000;
  client.socket.destroy();
  await server.close();
  const counts = { ...noErrors(handler), ...server.stats() };
  return { amount, answered, perSecond: Math.round(amount / seconds), ...memory.growth(), counts };
}

function withId(packet: Buffer, id: number): Buffer {
  packet.writeUInt16BE(id, 0);
  return packet;
}

/** Broken messages in requests that are mostly right, and right ones in broken requests. */
export async function runRequests({ amount, seed, watch }: RunOptions): Promise<RunResult> {
  const random = createRandom(seed);
  const mutants = createMutants(seedQueries(), random);
  const handler = hostileHandler(honest, Date.now, SETTINGS);
  const server = await openDnsDoh({ address: HOST, port: 0, handler, identity });
  const kinds = ['application/dns-message', 'text/plain', 'application/dns-message;x', ''];
  const statuses = new Set([200, 400, 404, 405, 408, 413, 415, 429, 431, 503]);
  let client: DohClient = dohClient(server.port);
  let answered = 0;
  const memory = createMemoryWatch(amount);
  const start = performance.now();

  const request = (packet: Buffer): ReturnType<DohClient['ask']> => {
    if (random(2) === 0) {
      const text = packet.toString(random(5) === 0 ? 'latin1' : 'base64url');
      const path = `/dns-query${['', '/', '/id', '/i_d', '//'][random(8)] ?? ''}?dns=${encodeURI(text)}`;
      return client.ask({ ':method': 'GET', ':path': path.slice(0, 6000) });
    }
    const method = ['POST', 'PUT'][random(9)] ?? 'POST';
    const type = kinds[random(8)] ?? (kinds[0] as string);
    return client.ask({ ':method': method, ':path': '/dns-query', 'content-type': type }, packet);
  };

  for (let done = 50; done <= amount; done += 50) {
    await Promise.all(
      Array.from({ length: 50 }, async () => {
        const packet = Buffer.from(mutants.bytes.subarray(0, mutants.next()));
        watch?.(packet, packet.length);
        const answer = await request(packet).catch(() => null);
        if (answer === null) return;
        answered++;
        if (!statuses.has(answer.status))
          throw new HostileFinding(`status ${answer.status}`, packet, answer.body);
      }),
    );
    if (client.session.destroyed || client.session.closed) client = dohClient(server.port);
    if (done % EACH > 0) continue;
    const kept = dohClient(server.port);
    for (const { what, packet, problem } of goodQueries(done / EACH)) {
      const { body } = await kept.post(packet);
      const wrong = problemOf(packet, packet.length, body, body.length, 'stream') ?? problem(body);
      if (wrong !== null)
        throw new HostileFinding(`a good query (${what}): the answer ${wrong}`, packet, body);
    }
    kept.session.destroy();
    memory.at(done);
  }
  const seconds = (performance.now() - start) / 1000;
  client.session.destroy();
  await server.close();
  const counts = { ...noErrors(handler), ...server.stats() };
  return { amount, answered, perSecond: Math.round(amount / seconds), ...memory.growth(), counts };
}

// ---- the upstream that lies

const LIARS_IN_FLIGHT = 2000;

const listens = (server: Server, port: number): Promise<boolean> =>
  new Promise((resolve) => {
    server.once('error', () => resolve(false));
    server.listen(port, HOST, () => resolve(true));
  });

/** An upstream by UDP and TCP on one port: broken answers with the right id, followed by the true one as often as not. */
async function startLiar(seed: number): Promise<{ port: number; close(): void }> {
  const random = createRandom(seed);
  const seedEnd = query('a.example', { edns: null }).length;
  const liars = [1, 28, 65].map((type) => createMutants(seedAnswers('a.example', type), random));
  const lie = (packet: Buffer): Buffer => {
    const mutants = liars[random(3)] as Mutants;
    const length = mutants.next();
    const bytes = Buffer.from(mutants.bytes.subarray(0, length));
    // Half of them would fit the question.
    const { end } = readQuestion(packet, packet.length);
    const answer =
      random(2) === 0 || end < 0 ? bytes : Buffer.concat([packet.subarray(0, end), bytes.subarray(seedEnd)]);
    if (answer.length >= 12 && answer !== bytes) {
      answer.set(bytes.subarray(2, 12), 2);
      if (random(4) > 0) answer.set([0x80 | ((answer[2] as number) & 7), answer[3] as number, 0, 1], 2);
    }
    if (answer.length >= 2) packet.copy(answer, 0, 0, 2);
    return answer;
  };
  const answersTo = (packet: Buffer): Buffer[] => {
    const { end } = readQuestion(packet, packet.length);
    const truth = trueAnswer(packet, end);
    if (isHonest(Buffer.from(packet.toString('latin1').toLowerCase(), 'latin1'))) return [truth];
    const lies = Array.from({ length: 1 + random(5) }, () => lie(packet));
    return random(2) === 0 ? [...lies, truth] : lies;
  };

  const tcp = createServer((socket) => {
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => {
      if (chunk.length < 19) return socket.destroy();
      socket.write(framed(...answersTo(chunk.subarray(2))));
    });
  });
  // A port that is free for both; another program may have it for one of them.
  let udp = await bound();
  for (let attempt = 0; !(await listens(tcp, udp.address().port)); attempt++) {
    if (attempt === 20) throw new Error('no port is free for both UDP and TCP');
    udp.close();
    udp = await bound();
  }
  const { port } = udp.address();
  udp.on('message', (packet, from) => {
    for (const answer of answersTo(packet))
      if (answer.length < 1500) udp.send(answer, from.port, from.address);
  });
  return {
    port,
    close() {
      udp.close();
      tcp.close();
    },
  };
}

/** Good questions through a real exchange to an upstream that answers with rubbish; each is asked for anew. */
export async function runUpstream(way: 'batched' | 'dgram', options: RunOptions): Promise<RunResult> {
  const { amount, seed, watch } = options;
  const liar = await startLiar(seed);
  const pools =
    way === 'dgram'
      ? {}
      : {
          createPool: createBatchedPools({
            libc: await loadLibc(),
            turn: createTurn(),
          }),
        };
  const exchange = createExchange({
    upstreams: [{ address: HOST, port: liar.port }],
    now: Date.now,
    randomId: createRandomIds(),
    timeoutMs: 300,
    retryMs: 60,
    ...pools,
  });
  const handler = hostileHandler(exchange, Date.now, { tunnel: { action: 'off', exempt: [] } });
  const out = new Uint8Array(66_048);
  let open = 0;
  let answered = 0;
  let found: HostileFinding | null = null;
  const memory = createMemoryWatch(amount);
  const start = performance.now();
  let progress = performance.now();
  for (let done = 1; done <= amount; done++) {
    while (open >= LIARS_IN_FLIGHT) {
      await turnOfLoop();
      if (performance.now() - progress > PATIENCE_MS)
        throw new HostileFinding('nothing moves', new Uint8Array());
    }
    const packet = query(`u${done}.a.example`, {
      id: done & 0xffff,
      type: [1, 28, 65, 16][done & 3] as number,
    });
    watch?.(packet, packet.length);
    open++;
    const asker = handler.asker4((10 << 24) | (done & 0xffff));
    const size = handler.handle(packet, packet.length, asker, 'udp', out, () => (answer) => {
      open--;
      answered++;
      progress = performance.now();
      const problem = problemOf(packet, packet.length, answer, answer.length, 'udp');
      if (problem !== null) found ??= new HostileFinding(problem, packet, answer);
    });
    if (size > 0) throw new HostileFinding('an answer before it was asked for', packet, out.slice(0, size));
    if (done % 16 === 0) await turnOfLoop();
    if (done % EACH > 0) continue;
    if (found !== null) throw found;
    await askPatiently(() => checkGood(handler, done / EACH));
    memory.at(done);
  }
  while (open > 0 && performance.now() - progress < PATIENCE_MS) await turnOfLoop();
  const seconds = (performance.now() - start) / 1000;
  if (open > 0) throw new HostileFinding(`${open} queries were never answered`, new Uint8Array());
  const counts = { ...noErrors(handler), ...exchange.stats() };
  exchange.close();
  liar.close();
  return { amount, answered, perSecond: Math.round(amount / seconds), ...memory.growth(), counts };
}

/** A datagram may be lost where buffers are full; who asks again is answered. */
async function askPatiently(ask: () => Promise<void>): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await ask();
    } catch (error) {
      if (attempt === 20) throw error;
      await new Promise((go) => setTimeout(go, 150));
    }
  }
}
