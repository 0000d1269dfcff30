import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AccountError } from '../../src/people/accounts.ts';
import { PasswordsBusy } from '../../src/people/passwords.ts';
import { addTechnician, GOOD, HEAD, openPeople, START } from './fixture.ts';
import type { People } from './fixture.ts';

let people: People;
beforeEach(() => {
  people = openPeople();
});
afterEach(() => {
  people.close();
});

const caught = async (work: Promise<unknown> | (() => unknown)): Promise<AccountError> => {
  try {
    await (typeof work === 'function' ? work() : work);
  } catch (error) {
    if (error instanceof AccountError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
};
const wrong = (username: string) => people.accounts.signIn(username, 'Not-The-One-1');

describe('accounts', () => {
  it('are made, found in any case, listed in pages, and told to the change log', async () => {
    const made = await addTechnician(people.accounts, 'Tess');
    expect(made).toMatchObject({ username: 'tess', role: 'technician', mustChange: false, createdAt: START });
    expect(people.accounts.find('TESS')).toEqual(made);
    expect(people.accounts.byId(made.id)).toEqual(made);
    await addTechnician(people.accounts, 'abe');
    await addTechnician(people.accounts, 'zoe');
    expect(people.accounts.list(2, null).map((one) => one.username)).toEqual(['abe', 'tess']);
    expect(people.accounts.list(2, 'tess').map((one) => one.username)).toEqual(['zoe']);
    expect(people.changes[0]).toMatchObject({ what: 'account.created', after: { username: 'tess' } });
  });

  it('refuse a name that is taken, also when two ask at once', async () => {
    const results = await Promise.allSettled([
      addTechnician(people.accounts),
      addTechnician(people.accounts, 'TESS'),
    ]);
    expect(results.map((result) => result.status).sort()).toEqual(['fulfilled', 'rejected']);
    expect((await caught(addTechnician(people.accounts))).code).toBe('taken');
    expect(people.accounts.list(10, null)).toHaveLength(1);
  });

  it.each([
    '',
    'a',
    'has space',
    'a:b',
    'local:root',
    '.tess',
    'tess-',
    'té',
    "o'neil",
    'x'.repeat(65),
    '../etc',
    'a\nb',
  ])('refuse the username %j', async (username) => {
    expect(await caught(addTechnician(people.accounts, username))).toMatchObject({
      code: 'invalid',
      field: 'username',
    });
  });

  it('refuse an unknown role and an empty name', async () => {
    const base = { username: 'sam', name: 'Sam', role: 'staff', password: GOOD, temporary: false };
    expect(await caught(people.accounts.create({ ...base, role: 'root' }, HEAD))).toMatchObject({
      field: 'role',
    });
    expect(await caught(people.accounts.create({ ...base, name: '  ' }, HEAD))).toMatchObject({
      field: 'name',
    });
  });

  it('P05: store an argon2id hash with the parameters of OWASP, and the password nowhere', async () => {
    await addTechnician(people.accounts);
    const stored = people.state.db.prepare('SELECT password FROM accounts').pluck().get() as string;
    expect(stored).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
    expect(JSON.stringify([people.accounts.find('tess'), people.changes])).not.toMatch(/argon2|Blue-Kettle/);
    for (const tail of ['', '-wal']) {
      expect(readFileSync(join(people.dir, `state.db${tail}`)).includes(GOOD)).toBe(false);
    }
  });

  it('keep the last technician: one cannot be disabled, of two only one', async () => {
    await addTechnician(people.accounts);
    expect((await caught(() => people.accounts.disable('tess', 'leaver', HEAD))).code).toBe(
      'last-administrator',
    );
    await addTechnician(people.accounts, 'abe');
    expect(people.accounts.disable('abe', 'leaver', HEAD).disabledAt).toBe(START);
    expect(people.accounts.disable('abe', 'leaver', HEAD).disabledAt).toBe(START);
    expect((await caught(() => people.accounts.disable('tess', 'leaver', HEAD))).code).toBe(
      'last-administrator',
    );
    expect(people.changes.filter((change) => change.what === 'account.disabled')).toHaveLength(1);
    expect((await caught(() => people.accounts.disable('nobody', 'leaver', HEAD))).code).toBe('unknown');
  });

  it('make nothing when the change log refuses', async () => {
    people.changes.push = () => {
      throw new Error('log is full');
    };
    await expect(addTechnician(people.accounts)).rejects.toThrow('log is full');
    expect(people.accounts.find('tess')).toBeNull();
  });
});

describe('signing in', () => {
  it('takes the right password, in any Unicode form, and no other', async () => {
    await addTechnician(people.accounts);
    expect(await people.accounts.signIn('tess', GOOD)).toMatchObject({
      ok: true,
      account: { username: 'tess' },
    });
    expect(await wrong('tess')).toEqual({ ok: false, why: 'wrong' });
    await people.accounts.setPassword('tess', 'Caf\u00e9-Kettle-9', { temporary: false, reason: 'x' }, HEAD);
    expect((await people.accounts.signIn('tess', 'Cafe\u0301-Kettle-9')).ok).toBe(true);
    expect((await people.accounts.signIn('tess', GOOD)).ok).toBe(false);
  });

  it('P03: locks after six wrong passwords in a row, and opens again by time', async () => {
    await addTechnician(people.accounts);
    for (let i = 0; i < 5; i += 1) expect(await wrong('tess')).toEqual({ ok: false, why: 'wrong' });
    const until = START + 15 * 60_000;
    expect(await wrong('tess')).toEqual({ ok: false, why: 'locked', until });
    expect(await people.accounts.signIn('tess', GOOD)).toEqual({ ok: false, why: 'locked', until });
    people.restart();
    people.clock.at = until - 1;
    expect(await people.accounts.signIn('tess', GOOD)).toMatchObject({ ok: false, why: 'locked' });
    people.clock.at = until;
    expect(await wrong('tess')).toEqual({ ok: false, why: 'wrong' });
    expect((await people.accounts.signIn('tess', GOOD)).ok).toBe(true);
  });

  it('P03: a right password in between starts the count again', async () => {
    await addTechnician(people.accounts);
    for (let round = 0; round < 2; round += 1) {
      for (let i = 0; i < 5; i += 1) await wrong('tess');
      expect((await people.accounts.signIn('tess', GOOD)).ok).toBe(true);
    }
  });

  it('P03: guesses sent all at once are counted one by one', async () => {
    await addTechnician(people.accounts);
    const guesses = Array.from({ length: 12 }, (_, i) =>
      people.accounts.signIn(i % 2 ? 'tess' : 'TESS', `Guess-No-${i}`),
    );
    const answers = await Promise.all(guesses);
    expect(answers.filter((answer) => !answer.ok && answer.why === 'wrong')).toHaveLength(5);
    expect(await people.accounts.signIn('tess', GOOD)).toMatchObject({ why: 'locked' });
  });

  it('a technician unlocks, by hand or with a new password', async () => {
    await addTechnician(people.accounts);
    for (let i = 0; i < 6; i += 1) await wrong('tess');
    people.accounts.unlock('tess', 'asked at the desk', HEAD);
    expect((await people.accounts.signIn('tess', GOOD)).ok).toBe(true);
    for (let i = 0; i < 6; i += 1) await wrong('tess');
    const options = { temporary: true, reason: 'forgotten' };
    expect(await people.accounts.setPassword('tess', 'Green-Lamp-77', options, HEAD)).toMatchObject({
      mustChange: true,
    });
    expect(await people.accounts.signIn('tess', 'Green-Lamp-77')).toMatchObject({
      ok: true,
      account: { mustChange: true },
    });
  });

  it('answers unknown, malformed and disabled names like wrong passwords, lock included', async () => {
    await addTechnician(people.accounts);
    await addTechnician(people.accounts, 'abe');
    people.accounts.disable('abe', 'leaver', HEAD);
    for (const name of ['nobody', 'not a name!', 'abe']) {
      const answers = [];
      for (let i = 0; i < 7; i += 1) {
        const result = await people.accounts.signIn(name, GOOD);
        answers.push(result.ok ? 'ok' : result.why);
      }
      expect([name, ...answers]).toEqual([name, ...Array<string>(5).fill('wrong'), 'locked', 'locked']);
    }
  });

  it('takes as long for an unknown name as for a known one', async () => {
    await addTechnician(people.accounts);
    const median = async (name: string): Promise<number> => {
      const times: number[] = [];
      for (let i = 0; i < 5; i += 1) {
        const from = performance.now();
        await wrong(`${name}${name === 'tess' ? '' : i}`);
        times.push(performance.now() - from);
      }
      return times.sort((a, b) => a - b)[2] ?? 0;
    };
    const [known, unknown] = [await median('tess'), await median('nobody')];
    // The hash dominates both; without the dummy the unknown name would answer some hundred times faster.
    expect(unknown).toBeGreaterThan(known / 4);
  });

  it('a class of thirty signs in at once', async () => {
    await addTechnician(people.accounts);
    const all = await Promise.all(Array.from({ length: 30 }, () => people.accounts.signIn('tess', GOOD)));
    expect(all.every((one) => one.ok)).toBe(true);
  });

  it('turns away a flood at one account instead of holding it in memory', async () => {
    const all = await Promise.allSettled(Array.from({ length: 100 }, () => wrong('nobody')));
    const busy = all.filter((one) => one.status === 'rejected' && one.reason instanceof PasswordsBusy);
    expect(busy).toHaveLength(40);
  });

  it('an account disabled while its password is being checked is not signed in', async () => {
    await addTechnician(people.accounts);
    await addTechnician(people.accounts, 'abe');
    const signingIn = people.accounts.signIn('abe', GOOD);
    await Promise.resolve();
    people.accounts.disable('abe', 'leaver', HEAD);
    expect(await signingIn).toEqual({ ok: false, why: 'wrong' });
  });
});

describe('changing a password', () => {
  it('refuses the present one, but not when it is given out as temporary', async () => {
    await addTechnician(people.accounts);
    const own = { temporary: false, reason: 'own' };
    expect(await caught(people.accounts.setPassword('tess', GOOD, own, HEAD))).toMatchObject({
      field: 'password',
    });
    await people.accounts.setPassword('tess', GOOD, { temporary: true, reason: 'slip' }, HEAD);
    expect(people.accounts.find('tess')?.mustChange).toBe(true);
  });
});
