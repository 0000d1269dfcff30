import Database from 'better-sqlite3';
import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { addAccount, eventually, signIn } from '../support/api.ts';
import { askDns } from '../support/dns-client.ts';
import { startFakeUpstream, type FakeUpstream } from '../support/fake-upstream.ts';
import { KS2, startGateway, type TestGateway } from '../support/gateway.ts';

let upstream: FakeUpstream;
let gateway: TestGateway;

beforeAll(async () => {
  upstream = await startFakeUpstream();
  gateway = await startGateway({ upstream: upstream.port });
});
afterAll(async () => {
  await gateway?.dispose();
  await upstream?.close();
});

const rows = (sql: string): unknown[] => {
  const file = join(gateway.dataDir, 'audit.db');
  if (!existsSync(file)) return [];
  const db = new Database(file, { readonly: true });
  try {
    return db.prepare(sql).all();
  } catch (error) {
    // The new file is there before its tables are.
    if (/no such table/.test((error as Error).message)) return [];
    throw error;
  } finally {
    db.close();
  }
};

describe('a damaged audit database', () => {
  it('is set aside, a new one gets the copies of overrides and changes again, and filtering never stops', async () => {
    await addAccount(gateway, 'tess', 'technician');
    const tess = await signIn(gateway, 'tess');
    const until = new Date(Date.now() + 600_000).toISOString();
    await tess.post('/overrides', {
      names: ['games.example'],
      scope: { groups: ['ks2'] },
      until,
      reason: 'a topic',
    });
    await eventually(async () => rows('SELECT id FROM overrides').length === 1);
    const changes = rows('SELECT id FROM changes').length;
    expect(changes).toBeGreaterThanOrEqual(2);

    await gateway.stop();
    for (const name of readdirSync(gateway.dataDir)) {
      if (name.startsWith('audit.db')) writeFileSync(join(gateway.dataDir, name), Buffer.alloc(20_000, 0x5a));
    }
    await gateway.start();
    expect((await askDns({ port: gateway.dns }, 'social.example', { from: KS2 })).rcode).toBe('NXDOMAIN');
    expect(readdirSync(gateway.dataDir).some((name) => name.startsWith('audit.db.corrupt-'))).toBe(true);
    await eventually(async () => rows("SELECT id FROM events WHERE host = 'social.example'").length === 1);
    await eventually(async () => rows('SELECT id FROM overrides').length === 1);
    await eventually(async () => rows('SELECT id FROM changes').length >= changes);
  });
});

describe('an audit database that is removed while the gateway runs', () => {
  it('M01: is begun anew within a second or so, with the copies again', async () => {
    const copied = () => [rows('SELECT id FROM overrides').length, rows('SELECT id FROM changes').length];
    await eventually(async () => copied()[0] === 1);
    const [, changes] = copied() as [number, number];
    for (const part of ['', '-wal', '-shm'])
      rmSync(join(gateway.dataDir, `audit.db${part}`), { force: true });
    await eventually(async () => copied()[0] === 1 && copied()[1]! >= changes);
    expect((await askDns({ port: gateway.dns }, 'social.example', { from: KS2 })).rcode).toBe('NXDOMAIN');
    await eventually(async () => rows("SELECT id FROM events WHERE host = 'social.example'").length === 1);
  });
});
