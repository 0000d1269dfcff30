import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Account } from '../../src/people/accounts.ts';
import { sameSecret } from '../../src/people/sessions.ts';
import { addTechnician, HEAD, openPeople, START } from './fixture.ts';
import type { People } from './fixture.ts';

const MINUTE = 60_000;
let people: People;
let tess: Account;
beforeEach(async () => {
  people = openPeople();
  tess = await addTechnician(people.accounts);
});
afterEach(() => {
  people.close();
});

describe('sessions', () => {
  it('find their account, and only the hash of the token is in the file', () => {
    const { token, session } = people.sessions.start(tess);
    expect(Buffer.from(token, 'base64url')).toHaveLength(32);
    expect(people.sessions.find(token)).toEqual(session);
    expect(people.sessions.find(`${token}x`)).toBeNull();
    expect(people.sessions.find('')).toBeNull();
    const stored = people.state.db.prepare('SELECT token_hash FROM sessions').pluck().get() as Buffer;
    expect(stored.equals(createHash('sha256').update(token).digest())).toBe(true);
    for (const tail of ['', '-wal']) {
      const bytes = readFileSync(join(people.dir, `state.db${tail}`));
      expect(bytes.includes(token)).toBe(false);
      expect(bytes.includes(session.csrfToken)).toBe(false);
    }
  });

  it('end after ten idle minutes, and stay while used', () => {
    const { token } = people.sessions.start(tess);
    for (let i = 0; i < 5; i += 1) {
      people.clock.at += 10 * MINUTE - 1;
      expect(people.sessions.find(token)).not.toBeNull();
    }
    people.clock.at += 10 * MINUTE;
    expect(people.sessions.find(token)).toBeNull();
    people.clock.at -= 5 * MINUTE;
    expect(people.sessions.find(token)).toBeNull();
  });

  it('end after eight hours however busy', () => {
    const { token } = people.sessions.start(tess);
    for (let i = 1; i < 8 * 12; i += 1) {
      people.clock.at = START + i * 5 * MINUTE;
      expect(people.sessions.find(token)).not.toBeNull();
    }
    people.clock.at = START + 8 * 60 * MINUTE;
    expect(people.sessions.find(token)).toBeNull();
  });

  it('survive a restart with their CSRF token, and do not survive idling over it', () => {
    const { token, session } = people.sessions.start(tess);
    people.clock.at += 9 * MINUTE;
    people.sessions.find(token);
    people.restart();
    people.clock.at += 9 * MINUTE;
    expect(people.sessions.find(token)?.csrfToken).toBe(session.csrfToken);
    people.restart();
    people.clock.at += 10 * MINUTE;
    expect(people.sessions.find(token)).toBeNull();
  });

  it('end on sign-out, on disabling, and all but one on request', async () => {
    await addTechnician(people.accounts, 'abe');
    const tokens = Array.from({ length: 4 }, () => people.sessions.start(tess));
    const live = (): number => tokens.filter(({ token }) => people.sessions.find(token)).length;
    people.sessions.end(tokens[0]?.token ?? '');
    people.sessions.end('unknown');
    expect(live()).toBe(3);
    people.sessions.endAll(tess.id, tokens[2]?.session.id);
    expect(live()).toBe(1);
    people.accounts.disable('tess', 'leaver', HEAD);
    expect(live()).toBe(0);
  });

  it('are at most twenty for one account: the oldest ends', () => {
    const tokens = Array.from({ length: 21 }, () => people.sessions.start(tess).token);
    expect(people.sessions.find(tokens[0] ?? '')).toBeNull();
    expect(tokens.slice(1).every((token) => people.sessions.find(token))).toBe(true);
  });

  it('are swept when over, and not before', () => {
    const old = people.sessions.start(tess).token;
    people.clock.at += 6 * MINUTE;
    const young = people.sessions.start(tess).token;
    people.clock.at += 5 * MINUTE;
    people.sessions.sweep();
    expect(people.state.db.prepare('SELECT count(*) FROM sessions').pluck().get()).toBe(1);
    expect([people.sessions.find(old), people.sessions.find(young)?.account.username]).toEqual([
      null,
      'tess',
    ]);
  });

  it('have CSRF tokens of their own', () => {
    const [one, two] = [people.sessions.start(tess), people.sessions.start(tess)];
    expect(one.session.csrfToken).not.toBe(two.session.csrfToken);
    expect(sameSecret(one.session.csrfToken, one.session.csrfToken)).toBe(true);
    expect(sameSecret(one.session.csrfToken, 'é')).toBe(false);
  });
});
