// state.db on a full disk: people are told in plain words, the log once, and reading goes on.

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ApiError, toApiError } from '../../src/web/errors.ts';
import { addEveryRole, HOUR, login, openGateway, START } from './fixture.ts';
import type { Gateway } from './fixture.ts';

let gateway: Gateway;
let headers: { authorization: string };
beforeEach(async () => {
  gateway = await openGateway();
  headers = (await addEveryRole(gateway)).technician;
});
afterEach(async () => {
  await gateway.close();
});

const MINUTE = 60_000;
const lines = (): unknown[] => gateway.logged.filter((line) => JSON.stringify(line).includes('disk-full'));

/** SQLite refuses more pages than it has, and those it has are used up. */
const fillDisk = (): void => {
  const { db } = gateway.state;
  db.exec('CREATE TABLE filler (data BLOB)');
  db.pragma(`max_page_count = ${Number(db.pragma('page_count', { simple: true })) + 4}`);
  for (const size of [4000, 400, 40, 1]) {
    const insert = db.prepare('INSERT INTO filler VALUES (zeroblob(?))');
    try {
      for (;;) insert.run(size);
    } catch (error) {
      expect(error).toMatchObject({ code: 'SQLITE_FULL' });
    }
  }
};

/** Every write fails as on a full disk, a change of one number too, which would need a new page of the log. */
const failWrites = (): void => {
  const { db } = gateway.state;
  db.function('no_room', () => {
    throw Object.assign(new Error('database or disk is full'), { code: 'SQLITE_FULL' });
  });
  for (const table of ['sessions', 'accounts']) {
    for (const action of ['INSERT', 'UPDATE', 'DELETE']) {
      db.exec(
        `CREATE TEMP TRIGGER full_${table}_${action} BEFORE ${action} ON main.${table} BEGIN SELECT no_room(); END`,
      );
    }
  }
};

const grant = () =>
  gateway.app.inject({
    method: 'POST',
    url: '/api/v1/overrides',
    headers,
    payload: {
      names: ['games.example.com'],
      scope: { groups: ['ks1'] },
      until: new Date(START + HOUR).toISOString(),
      reason: 'a maths lesson '.repeat(20),
    },
  });

describe('a full disk', () => {
  it('refuses a grant with what to do, logs one line without a stack, and takes it when there is room', async () => {
    fillDisk();
    for (let n = 0; n < 5; n++) {
      const answer = await grant();
      expect([answer.statusCode, answer.json().error.code]).toEqual([503, 'disk-full']);
      expect(answer.json().error.message).toMatch(/disk is full.*Filtering goes on.*Free some space/);
    }
    expect(lines()).toEqual([
      [
        { event: 'disk-full', code: 'SQLITE_FULL', method: 'POST', route: '/api/v1/overrides' },
        expect.stringContaining('free some space'),
      ],
    ]);
    const list = await gateway.app.inject({ url: '/api/v1/overrides', headers });
    expect([list.statusCode, list.json().items]).toEqual([200, []]);
    gateway.state.db.pragma('max_page_count = 1000000');
    expect((await grant()).statusCode).toBe(201);
  });

  it('refuses a sign-in, right or wrong, in the same way', async () => {
    failWrites();
    for (const password of [undefined, 'Wrong-Kettle-42']) {
      const answer = await login(gateway, 'staff', password);
      expect([answer.statusCode, answer.json().error.code]).toEqual([503, 'disk-full']);
      expect(answer.headers['set-cookie']).toBeUndefined();
    }
    expect(lines()).toHaveLength(1);
  });

  it('does not shut out who is signed in, and still ends a session in time', async () => {
    failWrites();
    const me = async (): Promise<number> =>
      (await gateway.app.inject({ url: '/api/v1/me', headers })).statusCode;
    for (let n = 0; n < 4; n++) {
      gateway.clock.at += 9 * MINUTE;
      expect(await me()).toBe(200);
    }
    gateway.clock.at += 10 * MINUTE;
    expect(await me()).toBe(401);
    expect(() => gateway.sessions.sweep()).not.toThrow();
    expect(await me()).toBe(401);
  });

  it.each(['SQLITE_FULL', 'SQLITE_IOERR_WRITE', 'ENOSPC'])('shows as %s', (code) => {
    const error = toApiError(Object.assign(new Error('no'), { code }));
    expect(error).toBeInstanceOf(ApiError);
    expect(error?.code).toBe('disk-full');
  });

  it.each(['SQLITE_BUSY', 'SQLITE_IOERR_READ', 'EACCES'])('does not show as %s', (code) => {
    expect(toApiError(Object.assign(new Error('no'), { code }))).toBeNull();
  });
});
