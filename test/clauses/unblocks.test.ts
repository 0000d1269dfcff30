import net from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { addAccount, eventually, events, signIn, type Person } from '../support/api.ts';
import { askDns } from '../support/dns-client.ts';
import { startFakeUpstream, type FakeUpstream } from '../support/fake-upstream.ts';
import { KS1, KS2, startGateway, type TestGateway } from '../support/gateway.ts';
import { openTunnel } from '../support/web-client.ts';

let upstream: FakeUpstream;
let gateway: TestGateway;
let technician: Person;
let echo: net.Server;
let echoPort: number;

beforeAll(async () => {
  upstream = await startFakeUpstream();
  gateway = await startGateway({ upstream: upstream.port });
  await addAccount(gateway, 'tess', 'technician');
  technician = await signIn(gateway, 'tess');
  echo = net.createServer((socket) => socket.on('error', () => {}).pipe(socket));
  await new Promise<void>((resolve) => echo.listen(0, '127.0.0.1', resolve));
  echoPort = (echo.address() as net.AddressInfo).port;
});
afterAll(async () => {
  await gateway?.dispose();
  await upstream?.close();
  echo?.close();
});

const isOpen = async (name: string, from: string): Promise<boolean> =>
  (await askDns({ port: gateway.dns }, name, { from })).addresses.length > 0;

const inFuture = (ms: number): string => new Date(Date.now() + ms).toISOString();

const grant = (names: string[], groups: string[], ms: number, reason = 'Topic lesson on Friday') =>
  technician.post('/overrides', { names, scope: { groups }, until: inFuture(ms), reason });

describe('unblocks', () => {
  it('O01 an unblock opens a site for one group within a second, and for no other', async () => {
    expect(await isOpen('games.example', KS2)).toBe(false);
    const granted = await grant(['games.example'], ['ks2'], 60_000);
    expect(granted.status).toBe(201); // in force in every thread
    expect(await isOpen('games.example', KS2)).toBe(true);
    expect(await isOpen('www.games.example', KS2)).toBe(true);
    expect(await isOpen('games.example', KS1)).toBe(false);
    const answer = await askDns({ port: gateway.dns }, 'games.example', { from: KS2 });
    expect(Math.max(...answer.ttls)).toBeLessThanOrEqual(10);
    const revoked = await technician.post(`/overrides/${granted.body.id}/revoke`, {
      reason: 'lesson is over',
    });
    expect(revoked.status).toBe(200);
    expect(await isOpen('games.example', KS2)).toBe(false);
  });

  it('O01 an unblock ends by itself on time, open tunnels included', async () => {
    const target = `games.example:${echoPort}`;
    expect((await openTunnel(gateway.proxy, target, KS2)).status).toBe(403);
    const until = Date.now() + 2_000;
    await technician.post('/overrides', {
      names: ['games.example'],
      scope: { groups: ['ks2'] },
      until: new Date(until).toISOString(),
      reason: 'two seconds of play',
    });
    const tunnel = await openTunnel(gateway.proxy, target, KS2);
    expect(tunnel.status).toBe(200);
    await tunnel.closed;
    expect(Date.now()).toBeGreaterThanOrEqual(until - 50);
    expect(Date.now()).toBeLessThan(until + 1_500);
    expect(await isOpen('games.example', KS2)).toBe(false);
    const ended = await eventually(async () => {
      const page = await technician.get('/overrides?state=ended');
      return page.body.items.find(
        (one: any) => one.reason === 'two seconds of play' && one.endedWhy === 'time',
      );
    });
    expect(ended.endedBy).toBe('schoolgate');
  });

  it('O01 revoking closes a tunnel that the unblock let through', async () => {
    const granted = await grant(['social.example'], ['ks2'], 60_000);
    const tunnel = await openTunnel(gateway.proxy, `social.example:${echoPort}`, KS2);
    expect(tunnel.status).toBe(200);
    await technician.post(`/overrides/${granted.body.id}/revoke`, { reason: 'no longer needed' });
    await tunnel.closed;
    expect(await isOpen('social.example', KS2)).toBe(false);
  });

  it('O01 every step is in the log: who, when, why, and each use', async () => {
    const granted = await grant(['shop2.games.example'], ['ks2'], 60_000, 'prices for a sum');
    expect(await isOpen('shop2.games.example', KS2)).toBe(true);
    const [use] = await events(technician, 'host=shop2.games.example&verdict=allow');
    expect(use).toMatchObject({ override_id: granted.body.id, reason: 'override', grp: 'ks2' });
    const shown = await technician.get(`/overrides/${granted.body.id}`);
    expect(shown.body).toMatchObject({ decidedBy: 'tess', reason: 'prices for a sum', review: true });
    await technician.post(`/overrides/${granted.body.id}/revoke`, { reason: 'done' });
  });

  it('O04 only those with the role may grant: staff, coordinator and head may not, nor anyone unsigned', async () => {
    for (const role of ['staff', 'coordinator', 'headteacher', 'governor', 'pupil']) {
      await addAccount(gateway, `o4-${role}`, role);
      const person = await signIn(gateway, `o4-${role}`);
      const answer = await person.post('/overrides', {
        names: ['games.example'],
        scope: { groups: ['ks2'] },
        until: inFuture(60_000),
        reason: 'because I want to',
      });
      expect([role, answer.status]).toEqual([role, 403]);
    }
    expect(await isOpen('games.example', KS2)).toBe(false);
  });

  it('O06 a grant by one person alone is marked for review', async () => {
    const granted = await grant(['blocked.example'], ['ks2'], 30_000);
    expect(granted.body.review).toBe(true);
    await technician.post(`/overrides/${granted.body.id}/revoke`, { reason: 'only a test' });
  });

  it('F02 an unblock of a sealed name is refused and logged, and one of its parent does not open it', async () => {
    const refused = await grant(['sealed.example'], ['ks2'], 60_000);
    expect(refused.status).toBeGreaterThanOrEqual(400);
    const parent = await grant(['games.example'], ['ks2'], 60_000);
    expect(await isOpen('games.example', KS2)).toBe(true);
    expect(await isOpen('sealed.games.example', KS2)).toBe(false);
    await technician.post(`/overrides/${parent.body.id}/revoke`, { reason: 'only a test' });
  });

  it('O01 an unblock survives a restart and a killed gateway, and ends on time all the same', async () => {
    const granted = await grant(['games.example'], ['ks2'], 60_000, 'lasts over a restart');
    await gateway.kill();
    await gateway.start();
    expect(await isOpen('games.example', KS2)).toBe(true);
    expect(await isOpen('games.example', KS1)).toBe(false);
    technician = await signIn(gateway, 'tess');
    await technician.post(`/overrides/${granted.body.id}/revoke`, { reason: 'only a test' });
    expect(await gateway.stop()).toBe(0);
    await gateway.start();
    expect(await isOpen('games.example', KS2)).toBe(false);
  });
});
