import { once } from 'node:events';
import { createSocket } from 'node:dgram';
import { afterEach, describe, expect, it } from 'vitest';
import { createIndexBuilder } from '../../src/blocklist/build-index.ts';
import { openIndex } from '../../src/blocklist/open-index.ts';
import { createDnsHandler } from '../../src/dns/handle.ts';
import { openDnsUdpDgram } from '../../src/dns/udp-dgram.ts';
import { createEngine } from '../../src/policy/engine.ts';
import type { Decision, Engine, PolicyModel } from '../../src/policy/types.ts';
import { createExchange } from '../../src/resolver/exchange.ts';
import { createRandomIds } from '../../src/resolver/random-ids.ts';
import { addressRecord, answerTo, startScriptedUpstream } from '../resolver/scripted-upstream.ts';
import type { ScriptedUpstream } from '../resolver/scripted-upstream.ts';
import { SETTINGS, noteInto, query, read } from './fixture.ts';
import type { Read } from './fixture.ts';

const [KS1, STAFF, STRANGER] = ['127.0.0.2', '127.0.0.4', '127.0.0.9'];
const SEED = { lo: 11, hi: 22 };
const NOW = Date.UTC(2026, 8, 7, 10, 0);

const MODEL: PolicyModel = {
  timezone: 'Europe/London',
  timetables: {},
  groups: {
    ks1: {
      label: 'Key Stage 1',
      default: 'block',
      ratings: { news: { kind: 'acceptable' } },
      allow: ['maths.example'],
      deny: [],
    },
    staff: {
      label: 'Staff',
      default: 'allow',
      ratings: { gambling: { kind: 'unacceptable' }, news: { kind: 'acceptable' } },
      allow: [],
      deny: [],
    },
    strict: { label: 'Unknown', default: 'block', ratings: {}, allow: [], deny: [] },
  },
  clients: [
    { name: 'infants', match: [KS1], group: 'ks1' },
    { name: 'teachers', match: [STAFF], group: 'staff' },
  ],
  unknown: 'strict',
  allow: [],
  deny: [],
};

const open: { close(): unknown }[] = [];
afterEach(async () => {
  for (const item of open.splice(0)) await item.close();
});

type Gateway = {
  engine: Engine;
  upstream: ScriptedUpstream;
  decisions: Decision[];
  ask(name: string, from: string): Promise<Read>;
  later(ms: number): void;
};

async function gateway(model: PolicyModel | null = MODEL): Promise<Gateway> {
  const builder = createIndexBuilder({ seed: SEED, toAscii: (text) => text, isPublicSuffix: () => false });
  const list = (name: string, category: string, sealed: boolean, lines: string[]): void =>
    void builder.addList({ name, category, sealed, format: 'domains', match: 'format' }, lines);
  list('bets', 'gambling', false, ['bet.example']);
  list('papers', 'news', false, ['news.example']);
  list('worst', 'illegal', true, ['worst.example']);
  const engine = createEngine({ seed: SEED });
  engine.setIndex(openIndex(builder.finish('test').buffer), 1);
  if (model !== null) engine.setPolicy(model, 1);

  let now = NOW;
  const decisions: Decision[] = [];
  const upstream = await startScriptedUpstream();
  const exchange = createExchange({
    upstreams: [upstream],
    now: () => now,
    randomId: createRandomIds(),
    retryMs: 100,
    timeoutMs: 400,
  });
  const handler = createDnsHandler({
    engine,
    exchange,
    note: noteInto(decisions),
    now: () => now,
    settings: SETTINGS,
  });
  const server = await openDnsUdpDgram({ address: '127.0.0.1', port: 0, handler });
  open.push(server, exchange, upstream);
  return {
    engine,
    upstream,
    decisions,
    later: (ms) => void (now += ms),
    async ask(name, from) {
      const socket = createSocket('udp4');
      open.unshift({ close: () => socket.close() });
      socket.bind(0, from);
      await once(socket, 'listening');
      socket.send(query(name), server.port, '127.0.0.1');
      const [bytes] = (await once(socket, 'message')) as [Buffer];
      return read(bytes);
    },
  };
}

describe('the real engine behind DNS', () => {
  it('F07: answers one name by group, whoever asked first', async () => {
    const { ask, decisions } = await gateway();
    expect(await ask('site.example', STAFF)).toMatchObject({ data: ['192.0.2.1'] });
    expect(await ask('site.example', KS1)).toMatchObject({ rcodeNumber: 3, ede: [17] });
    expect(await ask('maths.example', KS1)).toMatchObject({ data: ['192.0.2.1'] });
    expect(await ask('www.news.example', KS1)).toMatchObject({ data: ['192.0.2.1'] });
    expect(await ask('www.bet.example', STAFF)).toMatchObject({ rcodeNumber: 3, ede: [15] });
    expect(
      decisions.map((decision) => `${decision.client.group} ${decision.host} ${decision.verdict.reason}`),
    ).toEqual([
      'staff site.example default-allow',
      'ks1 site.example default-block',
      'ks1 maths.example local-allow',
      'ks1 www.news.example acceptable',
      'staff www.bet.example unacceptable',
    ]);
  });

  it('F01: an unknown client gets the strictest group, and without a policy nobody gets anything', async () => {
    expect(await (await gateway()).ask('site.example', STRANGER)).toMatchObject({ rcodeNumber: 3 });
    const bare = await gateway(null);
    expect(await bare.ask('site.example', STAFF)).toMatchObject({ rcodeNumber: 3, ede: [14] });
    expect(bare.upstream.asked).toEqual([]);
  });

  it('O01: an override opens a name at once, is told for seconds only, and ends by itself', async () => {
    const { engine, ask, later } = await gateway();
    expect(await ask('bet.example', STAFF)).toMatchObject({ rcodeNumber: 3 });
    const scope = { groups: ['staff'], classes: [], users: [] };
    engine.setOverrides([{ id: 'o1', names: ['bet.example'], scope, from: NOW, until: NOW + 60_000 }], 1);
    expect(await ask('bet.example', STAFF)).toMatchObject({ data: ['192.0.2.1'], ttls: [10] });
    expect(await ask('bet.example', KS1)).toMatchObject({ rcodeNumber: 3 });
    later(55_500);
    expect(await ask('bet.example', STAFF)).toMatchObject({ data: ['192.0.2.1'], ttls: [4] });
    later(4_500);
    expect(await ask('bet.example', STAFF)).toMatchObject({ rcodeNumber: 3 });
  });

  it('F02: no chain leads to a sealed name, not even from an overridden one', async () => {
    const { engine, ask, upstream } = await gateway();
    upstream.script = (asked) => [
      answerTo(asked, [
        { type: 'CNAME', name: asked.name, ttl: 60, data: 'cdn.worst.example' },
        addressRecord('cdn.worst.example', '192.0.2.9'),
      ]),
    ];
    const scope = { groups: ['staff'], classes: [], users: [] };
    engine.setOverrides([{ id: 'o1', names: ['fine.example'], scope, from: NOW, until: NOW + 60_000 }], 1);
    for (let round = 0; round < 2; round++) {
      expect(await ask('fine.example', STAFF)).toMatchObject({ rcodeNumber: 3, data: [], ede: [15] });
    }
    expect(upstream.asked.length).toBe(1);
  });

  it('F12: canary names do not exist for anyone', async () => {
    const { ask } = await gateway();
    for (const from of [KS1, STAFF, STRANGER]) {
      expect(await ask('use-application-dns.net', from)).toMatchObject({ rcodeNumber: 3 });
      expect(await ask('mask.icloud.com', from)).toMatchObject({ rcodeNumber: 3 });
    }
  });

  it('a chain through a content network is open to a group that may have only what is listed', async () => {
    const { ask, upstream } = await gateway();
    upstream.script = (asked) => [
      answerTo(asked, [
        { type: 'CNAME', name: asked.name, ttl: 60, data: 'e7.cdn.example' },
        addressRecord('e7.cdn.example', '192.0.2.9'),
      ]),
    ];
    expect((await ask('maths.example', KS1)).data.length).toBe(2);
    expect((await ask('e7.cdn.example', KS1)).rcodeNumber).toBe(3);
  });
});
