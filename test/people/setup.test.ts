import { existsSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { AccountError } from '../../src/people/accounts.ts';
import { createSetup, SetupClosed } from '../../src/people/setup.ts';
import type { Setup } from '../../src/people/setup.ts';
import { addTechnician, GOOD, openPeople } from './fixture.ts';
import type { People } from './fixture.ts';

let people: People;
let file: string;
let logged: unknown[];
let setup: Setup;
const me = { username: 'tess', name: 'Tess Green', password: GOOD };
const token = (): string => /token=([\w-]+)\n$/.exec(readFileSync(file, 'utf8'))?.[1] ?? '';

beforeEach(() => {
  people = openPeople();
  file = join(people.dir, 'setup-link');
  logged = [];
  setup = createSetup({
    file,
    pageUrl: () => 'http://127.0.0.1:8080/setup',
    accounts: people.accounts,
    now: () => people.clock.at,
    log: { info: (fields, message) => logged.push(fields, message) },
  });
});
afterEach(() => {
  people.close();
});

it('writes the link to a file of mode 0600; the log names the file and not the token', () => {
  expect(setup.begin()).toBe(true);
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(readFileSync(file, 'utf8')).toMatch(/^http:\/\/127\.0\.0\.1:8080\/setup\?token=[\w-]{43}\n$/);
  expect(JSON.stringify(logged)).toContain(file);
  expect(JSON.stringify(logged)).not.toContain(token());
});

it('makes one technician, once, and is dead afterwards', async () => {
  setup.begin();
  const secret = token();
  expect([setup.check(secret), setup.check('wrong'), setup.check('')]).toEqual([true, false, false]);
  await expect(setup.complete('wrong', me)).rejects.toThrow(SetupClosed);
  await expect(setup.complete(secret, { ...me, password: 'short' })).rejects.toThrow(AccountError);
  expect(await setup.complete(secret, me)).toMatchObject({ role: 'technician', mustChange: false });
  expect(existsSync(file)).toBe(false);
  expect(setup.check(secret)).toBe(false);
  await expect(setup.complete(secret, { ...me, username: 'two' })).rejects.toThrow(SetupClosed);
  expect(setup.begin()).toBe(false);
});

it('lets only one of two through who send the form at once', async () => {
  setup.begin();
  const secret = token();
  const both = await Promise.allSettled([
    setup.complete(secret, me),
    setup.complete(secret, { ...me, username: 'other' }),
  ]);
  expect(both.map((one) => one.status).sort()).toEqual(['fulfilled', 'rejected']);
  expect(people.accounts.list(10, null)).toHaveLength(1);
});

it('is dead after an hour, and when an administrator was made another way', async () => {
  setup.begin();
  const first = token();
  people.clock.at += 3_600_000 - 1;
  expect(setup.check(first)).toBe(true);
  people.clock.at += 1;
  expect(setup.check(first)).toBe(false);
  expect(existsSync(file)).toBe(false);
  setup.begin();
  const second = token();
  expect(setup.check(first)).toBe(false);
  await addTechnician(people.accounts);
  expect(setup.check(second)).toBe(false);
  expect(existsSync(file)).toBe(false);
});

it('replaces what was planted in its place instead of writing through it', () => {
  const victim = join(people.dir, 'victim');
  writeFileSync(victim, 'untouched');
  symlinkSync(victim, file);
  setup.begin();
  expect(readFileSync(victim, 'utf8')).toBe('untouched');
  expect(token()).not.toBe('');
});
