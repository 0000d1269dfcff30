import Database from 'better-sqlite3';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { addAccount, call, events, eventually, PASSWORD, signIn, type Person } from '../support/api.ts';
import { askDns } from '../support/dns-client.ts';
import { startFakeUpstream, type FakeUpstream } from '../support/fake-upstream.ts';
import { KS1, KS2, readData, startGateway, type TestGateway } from '../support/gateway.ts';
import { fetchFrom } from '../support/web-client.ts';

let upstream: FakeUpstream;
let gateway: TestGateway;
let coordinator: Person;

beforeAll(async () => {
  upstream = await startFakeUpstream();
  gateway = await startGateway({ upstream: upstream.port });
  await addAccount(gateway, 'cora', 'coordinator');
  coordinator = await signIn(gateway, 'cora');
});
afterAll(async () => {
  await gateway?.dispose();
  await upstream?.close();
});

describe('records', () => {
  it('M01 I01 every block is in the log with who (the class, never a guessed child), what, when, category, list, rule and verdict', async () => {
    await askDns({ port: gateway.dns }, 'www.games.example', { from: KS1 });
    await fetchFrom('http://social.example/', { proxy: gateway.proxy, from: KS2 });
    const [row] = await events(coordinator, 'host=www.games.example');
    expect(row).toMatchObject({
      channel: 'dns',
      client: KS1,
      device: 'year-2-tablets',
      grp: 'ks1',
      class: 'hedgehogs',
      host: 'www.games.example',
      qtype_or_method: 'A',
      category: 'games',
      list: 'games',
      rating: 'unacceptable',
      action: 'block',
      reason: 'unacceptable',
      site: 'main',
      count: 1,
    });
    expect(Date.now() - Date.parse(row.at)).toBeLessThan(10_000);
    const [web] = await events(coordinator, 'host=social.example&channel=http');
    expect(web).toMatchObject({
      client: KS2,
      grp: 'ks2',
      qtype_or_method: 'GET',
      action: 'block',
      path: null,
    });
  });

  it('M01 visits are in the log too, a row a minute with a count', async () => {
    for (let i = 0; i < 5; i++) await askDns({ port: gateway.dns }, 'allowed.example', { from: KS1 });
    const total = await eventually(async () => {
      const page = await coordinator.get('/events?host=allowed.example&verdict=allow');
      const sum = page.body.items.reduce((n: number, one: any) => n + one.count, 0);
      return sum >= 5 ? { sum, rows: page.body.items.length } : null;
    });
    expect(total.sum).toBe(5);
    expect(total.rows).toBeLessThanOrEqual(2); // two when the minute turned meanwhile
  });

  it('M01 the log can be searched by group, class, client, host, category, verdict and channel, and at the command line', async () => {
    for (const filter of [
      'group=ks1',
      'class=hedgehogs',
      `client=${KS1}`,
      'host=games.example',
      'category=games',
      'verdict=block',
      'channel=dns',
    ]) {
      const page = await coordinator.get(`/events?${filter}`);
      expect([
        filter,
        page.status,
        page.body.items.some((one: any) => one.host === 'www.games.example'),
      ]).toEqual([filter, 200, true]);
    }
    expect((await coordinator.get('/events?group=staff')).body.items).toEqual([]);
    const { stdout, code } = await gateway.cli(['audit', 'search', '--group', 'ks1', '--since', '1h']);
    expect(code).toBe(0);
    expect(stdout).toContain('www.games.example');
    expect(stdout).toContain('block (unacceptable, games)');
  });

  it('M01 the log survives a killed gateway, whole', async () => {
    await askDns({ port: gateway.dns }, 'before-the-kill.games.example', { from: KS1 });
    await events(coordinator, 'host=before-the-kill.games.example');
    await gateway.kill();
    await gateway.start();
    coordinator = await signIn(gateway, 'cora');
    await events(coordinator, 'host=before-the-kill.games.example');
    const db = new Database(join(gateway.dataDir, 'audit.db'), { readonly: true });
    expect(db.pragma('integrity_check', { simple: true })).toBe('ok');
    db.close();
  });

  it('D06 a changed row of the log of blocks is named by audit verify', async () => {
    const whole = await gateway.cli(['audit', 'verify']);
    expect(whole.code).toBe(0);
    await gateway.stop();
    const db = new Database(join(gateway.dataDir, 'state.db'));
    db.exec('DROP TRIGGER IF EXISTS changes_no_update');
    for (const { name } of db.prepare("SELECT name FROM sqlite_master WHERE type = 'trigger'").all() as {
      name: string;
    }[]) {
      db.exec(`DROP TRIGGER "${name}"`);
    }
    db.exec("UPDATE changes SET reason = 'nothing to see here' WHERE seq = 1");
    db.close();
    const changed = await gateway.cli(['audit', 'verify']);
    expect(changed.code).toBe(1);
    expect(changed.stdout).toMatch(/changes: NOT WHOLE/);
    await gateway.start();
    coordinator = await signIn(gateway, 'cora');
  });

  it('D04 each role reads and does only what is its own', async () => {
    const may: Record<string, string[]> = {
      technician: [
        '/events',
        '/overrides',
        '/blocklists',
        '/accounts',
        '/explain?url=a.example&group=ks1',
        '/me',
      ],
      coordinator: ['/events', '/overrides', '/explain?url=a.example&group=ks1', '/me'],
      headteacher: ['/events', '/overrides', '/explain?url=a.example&group=ks1', '/me'],
      staff: ['/explain?url=a.example&group=ks1', '/me'],
      governor: ['/me'],
      pupil: ['/me'],
      guest: ['/me'],
    };
    for (const [role, open] of Object.entries(may)) {
      await addAccount(gateway, `d4-${role}`, role);
      const person = await signIn(gateway, `d4-${role}`);
      for (const path of may['technician']!) {
        const { status } = await person.get(path);
        expect([role, path, status]).toEqual([role, path, open.includes(path) ? 200 : 403]);
      }
    }
    for (const path of may['technician']!) expect((await call(gateway, 'GET', path)).status).toBe(401);
  });

  it('P02 a weak password is refused: too short, or fewer than three kinds of character', async () => {
    for (const password of ['Ab1!', 'alllowercase', 'onlylower123', 'Password1']) {
      const args = [
        'accounts',
        'add',
        '--username',
        'weak',
        '--role',
        'staff',
        '--name',
        'Weak',
        '--password-stdin',
      ];
      const made = await gateway.cli(args, `${password}\n`);
      expect([password, made.code]).toEqual([password, 1]);
      expect(made.stderr.trim().split('\n')).toHaveLength(1);
      expect(made.stderr).not.toContain(password);
    }
  });

  it('P03 six wrong passwords in a row lock the account, until a technician unlocks it', async () => {
    await addAccount(gateway, 'locked', 'staff');
    for (let i = 0; i < 6; i++) {
      const wrong = await call(gateway, 'POST', '/login', {
        body: { username: 'locked', password: 'Wrong-horse-7' },
      });
      expect(wrong.status).toBe(i < 5 ? 401 : wrong.status);
    }
    const right = await call(gateway, 'POST', '/login', { body: { username: 'locked', password: PASSWORD } });
    expect(right.status).not.toBe(200);
    expect((await gateway.cli(['accounts', 'unlock', 'locked', '--reason', 'asked at the desk'])).code).toBe(
      0,
    );
    expect((await signIn(gateway, 'locked')).csrf).toBeTruthy();
  });

  it('P04 a temporary password opens nothing but its own change', async () => {
    const args = [
      'accounts',
      'add',
      '--username',
      'temp',
      '--role',
      'technician',
      '--name',
      'Temp',
      '--temporary',
      '--password-stdin',
    ];
    expect((await gateway.cli(args, `${PASSWORD}\n`)).code).toBe(0);
    const person = await signIn(gateway, 'temp');
    expect((await person.get('/events')).status).toBe(403);
    const changed = await person.post('/me/password', { current: PASSWORD, new: 'Better-horse-8' });
    expect(changed.status).toBeLessThan(300);
    const again = await signIn(gateway, 'temp', 'Better-horse-8');
    expect((await again.get('/events')).status).toBe(200);
  });

  it('P05 passwords are kept as argon2id hashes only, in a file of mode 0600, and never logged', async () => {
    const db = new Database(join(gateway.dataDir, 'state.db'), { readonly: true });
    const rows = db.prepare('SELECT password FROM accounts').pluck().all() as string[];
    db.close();
    expect(rows.length).toBeGreaterThan(3);
    for (const hash of rows) expect(hash).toMatch(/^\$argon2id\$/);
    expect(statSync(join(gateway.dataDir, 'state.db')).mode & 0o777).toBe(0o600);
    expect(gateway.log.map((line) => JSON.stringify(line)).join('\n')).not.toContain(PASSWORD);
  });

  it('I04 staff sign in with accounts of their own; requests without the CSRF token change nothing', async () => {
    const tech = await signIn(gateway, 'd4-technician');
    const body = {
      names: ['games.example'],
      scope: { groups: ['ks2'] },
      until: new Date(Date.now() + 60_000).toISOString(),
      reason: 'forged',
    };
    expect((await tech.post('/overrides', body, {})).status).toBe(403);
    expect((await tech.post('/overrides', body, { 'x-csrf-token': 'x'.repeat(43) })).status).toBe(403);
    expect((await tech.post('/logout')).status).toBeLessThan(300);
    expect((await tech.get('/me')).status).toBe(401);
  });

  it('D04 the first start leaves a setup link in a file that only its owner can read, and names the file, not the link', async () => {
    const fresh = await startGateway({ upstream: upstream.port });
    try {
      const link = readData(fresh, 'setup-link').trim();
      expect(statSync(join(fresh.dataDir, 'setup-link')).mode & 0o777).toBe(0o600);
      const token = new URL(link).searchParams.get('token')!;
      expect(JSON.stringify(fresh.log)).not.toContain(token);
      const form = await fetchFrom(link);
      expect(form.status).toBe(200);
      expect(form.body).toContain('<form');
      expect((await fetchFrom(link.replace(token, 'x'.repeat(token.length)))).status).not.toBe(200);
    } finally {
      await fresh.dispose();
    }
  });
});
