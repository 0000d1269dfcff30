// Twenty thousand mutated frames and requests over each of TCP, DoT and DoH, with a good query answered after every thousand.
// Seeded: a failure comes again.

import { afterAll, describe, expect, it } from 'vitest';
import { openDnsDoh } from '../../src/dns/server-doh.ts';
import { openDnsDot } from '../../src/dns/server-dot.ts';
import { openDnsTcp } from '../../src/dns/server-tcp.ts';
import { ALLOW, BLOCK, fakeExchange, query, read, rig } from '../dns/fixture.ts';
import { testCertificate, testKey } from '../support/certificate.ts';
import { dohClient, dotClient, framed, tcpClient } from '../support/dns-streams.ts';
import type { DohClient, StreamClient } from '../support/dns-streams.ts';

const FRAMES = 20_000;
const EACH = 1000;

/** Small, fast and the same on every machine (mulberry32). */
function createRandom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296) * below);
  };
}
type Random = ReturnType<typeof createRandom>;

function mutated(random: Random): Buffer {
  let bytes = query(['a.example', 'bet.example', 'x.local', '.'][random(4)] as string, {
    id: random(65536),
    type: [1, 28, 65, 255, 252][random(5)] as number,
    edns: random(3) === 0 ? null : { options: Buffer.from([0, random(20), 0, 0]) },
  });
  for (let change = random(3); change >= 0; change--) {
    const at = random(bytes.length + 1);
    const kind = random(5);
    if (kind === 0 && at < bytes.length) bytes[at] = random(256);
    else if (kind === 1 && at < bytes.length) bytes[at] = [0, 0xc0, 0xff, 0x3f, 12][random(5)] as number;
    else if (kind === 2) bytes = bytes.subarray(0, at);
    else if (kind === 3)
      bytes = Buffer.concat([
        bytes.subarray(0, at),
        Buffer.alloc(random(30), random(256)),
        bytes.subarray(at),
      ]);
    else bytes = Buffer.concat([bytes, bytes.subarray(at)]);
  }
  return bytes.subarray(0, 4200);
}

const identity = {
  cert: testCertificate,
  key: testKey,
  ticketKeys: new Uint8Array(48).fill(1),
  host: 'dns.test',
};

const { handler } = rig({
  rule: (name) => (name.startsWith('bet') ? BLOCK : ALLOW),
  exchange: fakeExchange((name) => ({ answers: [{ type: 'A', name, ttl: 60, data: '192.0.2.1' }] })),
});
const at = { address: '127.0.0.1', port: 0, handler };
const [tcp, dot, doh] = await Promise.all([
  openDnsTcp(at),
  openDnsDot({ ...at, identity }),
  openDnsDoh({ ...at, identity }),
]);
afterAll(() => Promise.all([tcp.close(), dot.close(), doh.close()]));

describe('mutated', () => {
  it.each([
    ['TCP', () => tcpClient(tcp.port), 11],
    ['DoT', () => dotClient(dot.port), 12],
  ] as [string, () => StreamClient, number][])(
    'frames over %s',
    async (_what, dial, seed) => {
      const random = createRandom(seed);
      let client = dial();
      let sent = 0;
      while (sent < FRAMES) {
        // As many as an honest connection could carry at once, now and then with a length that lies.
        const batch = Array.from({ length: 20 }, () => mutated(random));
        const bytes = framed(...batch.filter((packet) => packet.length > 11 && (packet[2] as number) < 0x80));
        if (random(20) === 0) bytes[random(bytes.length)] = random(256);
        client.socket.write(bytes);
        sent += batch.length;
        if (sent % 100 === 0 || client.socket.destroyed) {
          await new Promise((resolve) => setImmediate(resolve));
          if (random(3) === 0 || !client.socket.writable) {
            client.socket.destroy();
            client = dial();
          }
        }
        if (sent % EACH > 0) continue;
        const honest = dial();
        honest.socket.write(framed(query('bet.example', { id: 77 }), query('a.example', { id: 78 })));
        const answers = (await honest.until(2)).map((answer) => read(answer));
        expect(answers.map(({ id }) => id).sort()).toEqual([77, 78]);
        expect(answers.find(({ id }) => id === 77)?.rcodeNumber).toBe(3);
        honest.socket.destroy();
      }
      client.socket.destroy();
      expect(handler.stats()['errors'] ?? 0).toBe(0);
    },
    60_000,
  );

  it('requests over DoH', async () => {
    const random = createRandom(13);
    let client: DohClient = dohClient(doh.port);
    const kinds = ['application/dns-message', 'text/plain', 'application/dns-message;x', ''];
    for (let sent = 0; sent < FRAMES; sent += 50) {
      const answers = await Promise.all(
        Array.from({ length: 50 }, () => {
          const packet = mutated(random);
          if (random(2) === 0) {
            const text = packet.toString(random(5) === 0 ? 'latin1' : 'base64url');
            const path = `/dns-query${['', '/', '/id', '/i_d', '//'][random(8)] ?? ''}?dns=${encodeURI(text)}`;
            return client.ask({ ':method': 'GET', ':path': path.slice(0, 6000) }).catch(() => null);
          }
          const headers = { ':method': ['POST', 'PUT'][random(9)] ?? 'POST', ':path': '/dns-query' };
          const type = kinds[random(8)] ?? (kinds[0] as string);
          return client.ask({ ...headers, 'content-type': type }, packet).catch(() => null);
        }),
      );
      for (const answer of answers)
        expect([200, 400, 404, 405, 413, 415, 429]).toContain(answer?.status ?? 400);
      if (client.session.destroyed || client.session.closed) client = dohClient(doh.port);
      if (sent % EACH > 0) continue;
      const honest = dohClient(doh.port);
      expect(read((await honest.post(query('bet.example'))).body).rcodeNumber).toBe(3);
      honest.session.destroy();
    }
    client.session.destroy();
    expect(handler.stats()['errors'] ?? 0).toBe(0);
  }, 60_000);
});
