// A running gateway and an upstream that is slow, silent, lies, or comes and goes: names that have nothing to do with it are
// answered, blocked ones are always blocked, and what was known is given while nothing new comes.

import { afterEach, describe, expect, it } from 'vitest';
import { addressRecord, answerTo, startScriptedUpstream } from '../resolver/scripted-upstream.ts';
import type { Asked, ScriptedUpstream } from '../resolver/scripted-upstream.ts';
import { askDns } from '../support/dns-client.ts';
import { startGateway, KS2 } from '../support/gateway.ts';
import type { TestGateway } from '../support/gateway.ts';

let gateway: TestGateway | undefined;
let upstream: ScriptedUpstream;
afterEach(async () => {
  await gateway?.dispose();
  await upstream?.close();
});

const truth = (asked: Asked, ttl = 300): Uint8Array[] => [
  answerTo(asked, asked.type === 'A' ? [addressRecord(asked.name, '192.0.2.1', ttl)] : []),
];
const isAbout = (asked: Asked, name: string): boolean => asked.name.toLowerCase().endsWith(name);

async function start(script: ScriptedUpstream['script']): Promise<void> {
  upstream = await startScriptedUpstream();
  upstream.script = script;
  gateway = await startGateway({ upstream: upstream.port });
}

const ask = (name: string) => askDns({ port: gateway!.dns }, name, { from: KS2, timeoutMs: 12_000 });
const flood = (count: number, name: string) =>
  Array.from({ length: count }, (_, i) => ask(`n${i}.${name}`).catch(() => null));

/** What must hold while `name` is in trouble. */
async function othersAreFine(fresh: string): Promise<void> {
  const [blocked, good] = await Promise.all([ask('games.example'), ask(fresh)]);
  expect([blocked.rcode, blocked.ede]).toEqual(['NXDOMAIN', [15]]);
  expect([good.rcode, good.addresses]).toEqual(['NOERROR', ['192.0.2.1']]);
}

describe('an upstream in trouble', () => {
  it('slow for some names: others do not wait for them', async () => {
    let release = (): void => {};
    const held = new Promise<void>((resolve) => (release = resolve));
    await start(async (asked) => {
      if (isAbout(asked, 'slow.example')) await held;
      return truth(asked);
    });
    const waiting = flood(50, 'slow.example');
    for (let i = 0; i < 5; i++) await othersAreFine(`f${i}.fine.example`);
    release();
    for (const answer of await Promise.all(waiting)) expect(answer?.rcode).toMatch(/NOERROR|SERVFAIL/);
  });

  it('silent: blocks come at once, what was known is given marked as stale, the rest fails cleanly; then all is well again', async () => {
    let silent = false;
    await start((asked) => (silent ? [] : truth(asked, 1)));
    expect((await ask('known.example')).addresses).toEqual(['192.0.2.1']);
    silent = true;
    const blocked = await ask('games.example');
    expect(blocked.rcode).toBe('NXDOMAIN');
    // Its TTL of a second is over when a query is asked upstream again.
    let stale = await ask('known.example');
    while (stale.ede.length === 0 && stale.rcode === 'NOERROR') stale = await ask('known.example');
    expect(stale).toMatchObject({ rcode: 'NOERROR', addresses: ['192.0.2.1'], ede: [3] });
    expect((await ask('unknown.example')).rcode).toBe('SERVFAIL');
    silent = false;
    let again = await ask('again0.example');
    for (let i = 1; i < 40 && again.rcode !== 'NOERROR'; i++) again = await ask(`again${i}.example`);
    await othersAreFine('after.example');
  }, 60_000);

  it('lying: other ids, other questions, noise, addresses inside and ways to blocked names', async () => {
    const lies: ((asked: Asked) => Uint8Array[])[] = [
      (asked) => [answerTo({ ...asked, id: asked.id ^ 1 }, [addressRecord(asked.name, '192.0.2.66')])],
      (asked) => [answerTo(asked, [], { questions: [{ type: 'A', name: 'other.example', class: 'IN' }] })],
      () => [new Uint8Array(300).fill(0xc0)],
      (asked) => [answerTo(asked, [addressRecord(asked.name, '10.0.0.1')])],
      (asked) => [answerTo(asked, [{ type: 'CNAME', name: asked.name, ttl: 60, data: 'www.games.example' }])],
      (asked) => [answerTo(asked, [addressRecord(asked.name, '192.0.2.66')]).subarray(0, 30)],
    ];
    let turn = 0;
    await start((asked) =>
      isAbout(asked, 'lies.example') ? lies[turn++ % lies.length]!(asked) : truth(asked),
    );
    const waiting = flood(24, 'lies.example');
    for (let i = 0; i < 5; i++) await othersAreFine(`g${i}.fine.example`);
    for (const answer of await Promise.all(waiting)) expect(answer?.addresses ?? []).toEqual([]);
  }, 60_000);

  it('coming and going: what is asked is answered or fails cleanly, and nothing is left behind', async () => {
    let count = 0;
    await start((asked) => (Math.floor(count++ / 20) % 2 === 0 ? truth(asked) : []));
    for (let round = 0; round < 3; round++) {
      const answers = await Promise.all(flood(40, `r${round}.flap.example`));
      for (const answer of answers) expect(answer?.rcode).toMatch(/NOERROR|SERVFAIL/);
      expect((await ask('games.example')).rcode).toBe('NXDOMAIN');
    }
    count = -1e9;
    let good = await ask('good0.example');
    for (let i = 1; i < 40 && good.rcode !== 'NOERROR'; i++) good = await ask(`good${i}.example`);
    await othersAreFine('last.example');
  }, 60_000);
});
