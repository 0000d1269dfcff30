// The web app over real people and change rooms in a directory of its own; what other rooms give it is played here.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { domainToASCII } from 'node:url';
import { canonicalName } from '../../src/blocklist/names.ts';
import { changeLogMigrations, createChangeLog } from '../../src/change/change-log.ts';
import type { ChangeLog } from '../../src/change/change-log.ts';
import { createOverrides, overrideMigrations } from '../../src/change/overrides.ts';
import { createRecords, recordMigrations } from '../../src/change/records.ts';
import type { Records } from '../../src/change/records.ts';
import { accountMigrations, createAccounts } from '../../src/people/accounts.ts';
import type { Accounts } from '../../src/people/accounts.ts';
import { createPasswords } from '../../src/people/passwords.ts';
import type { Passwords } from '../../src/people/passwords.ts';
import { ROLES } from '../../src/people/roles.ts';
import type { Role } from '../../src/people/roles.ts';
import { createSessions, sessionMigrations } from '../../src/people/sessions.ts';
import type { Sessions } from '../../src/people/sessions.ts';
import { createSetup } from '../../src/people/setup.ts';
import type { Setup } from '../../src/people/setup.ts';
import { openState } from '../../src/state/open-state.ts';
import type { State } from '../../src/state/open-state.ts';
import { createOutbox, outboxMigrations } from '../../src/state/outbox.ts';
import { createApp } from '../../src/web/app.ts';
import type { BlocksCheck, Check, EventSearch, WebApp, WebDeps } from '../../src/web/deps.ts';

export const START = Date.UTC(2026, 8, 7, 9);
export const HOUR = 3_600_000;
export const PASSWORD = 'Blue-Kettle-42';

/** Real hashes, but each password is hashed only once in this file's process: the tests make hundreds of accounts. */
const hashes = new Map<string, Promise<string>>();
const quickPasswords = (): Passwords => {
  const passwords = createPasswords();
  return {
    ...passwords,
    hash: (password) => {
      const known = hashes.get(password) ?? passwords.hash(password);
      hashes.set(password, known);
      return known;
    },
  };
};

export type Gateway = {
  dir: string;
  clock: { at: number };
  app: WebApp;
  state: State;
  accounts: Accounts;
  sessions: Sessions;
  setup: Setup;
  changeLog: ChangeLog;
  logged: unknown[];
  searches: EventSearch[];
  checks: Record<string, Check>;
  localRecords: Records;
  applied: { count: number; fails: boolean };
  purged: (readonly string[] | null)[];
  restart(): Promise<void>;
  close(): Promise<void>;
};

export const openGateway = async (parts: Partial<WebDeps> = {}): Promise<Gateway> => {
  const dir = mkdtempSync(join(tmpdir(), 'web-'));
  const clock = { at: START };
  const now = (): number => clock.at;
  const logged: unknown[] = [];
  const searches: EventSearch[] = [];
  const checks: Record<string, Check> = { dns: { ok: true, detail: '1 thread' } };
  const applied = { count: 0, fails: false };
  const purged: (readonly string[] | null)[] = [];
  const note = (...what: unknown[]): void => {
    logged.push(what);
  };
  const log = { info: note, warn: note, error: note };
  const blocksCheck: BlocksCheck = { ok: true, rows: 7, head: 'abc' };
  const open = async () => {
    const migrations = [
      ...outboxMigrations,
      ...changeLogMigrations,
      ...overrideMigrations,
      ...recordMigrations,
      ...accountMigrations,
      ...sessionMigrations,
    ];
    const state = openState({ file: join(dir, 'state.db'), migrations, now });
    const outbox = createOutbox({ state });
    const changeLog = createChangeLog({ state, outbox, site: 'main', now });
    const accounts = createAccounts({
      state,
      passwords: quickPasswords(),
      now,
      record: (change) => void changeLog.append(change),
    });
    const sessions = createSessions({ state, accounts, now });
    const overrides = createOverrides({
      state,
      outbox,
      changeLog,
      site: 'main',
      now,
      checks: {
        canonicalName: (text) => canonicalName(text, domainToASCII),
        isPublicSuffix: (name) => name === 'co.uk',
        isSealed: (name) => name === 'sealed.example.com',
        isGroup: (name) => ['ks1', 'staff'].includes(name),
        isClass: () => false,
        isUser: () => false,
        maxMs: 84 * 24 * HOUR,
        maxOpen: 1000,
      },
    });
    const localRecords = createRecords({ state, changeLog, site: 'main', now });
    const setup = createSetup({
      file: join(dir, 'setup-link'),
      pageUrl: () => 'http://127.0.0.1/setup',
      accounts,
      now,
      log,
    });
    const games = { name: 'starter-games', category: 'games', sealed: false, entries: 20 };
    const app = await createApp({
      accounts,
      sessions,
      setup,
      overrides,
      localRecords,
      explain: (target, who) =>
        who.group === 'ks9' || who.client === 'no-such'
          ? null
          : {
              verdict: {
                action: 'block',
                reason: 'unacceptable',
                category: 'games',
                rating: 'unacceptable',
                rule: 'games is unacceptable',
                list: 'starter-games',
                group: who.group ?? 'ks1',
                overrideId: null,
                target: null,
                until: clock.at + HOUR,
              },
              dns: ['asked of the servers under dns.forward'],
              trace: [
                {
                  step: 9,
                  title: 'category ratings',
                  outcome: 'decided',
                  detail: `${target.host} by ${target.channel}`,
                },
              ],
            },
      events: {
        search: async (filter) => {
          searches.push(filter);
          if (filter.cursor === 'bad')
            throw Object.assign(new Error('no such cursor'), { code: 'bad-cursor' });
          return {
            items: [{ at: START, host: 'games.example.com', action: 'block' } as { at: number }],
            next: 'more',
          };
        },
      },
      lists: {
        all: () => [games],
        lookup: (name) => (name === 'games.example.com' ? [{ list: games, name: 'example.com' }] : []),
      },
      verify: async () => ({ changes: changeLog.verify(), blocks: blocksCheck }),
      applyOverrides: async () => {
        applied.count += 1;
        if (applied.fails) throw new Error('dns-1 is slow');
      },
      applyRecords: async () => {
        applied.count += 1;
        if (applied.fails) throw new Error('dns-1 is slow');
      },
      purgeDns: async (names) => void purged.push(names),
      health: () => checks,
      metrics: async () => 'schoolgate_up 1\n',
      figures: () => null,
      now,
      log,
      settings: {
        ownHosts: ['gateway.school.example'],
        school: 'Example <Primary>',
        language: 'en',
        metricsAllowed: (address) => address.startsWith('127.'),
      },
      principalOf: () => null,
      ...parts,
    });
    return { app, state, accounts, sessions, setup, changeLog, localRecords };
  };
  const gateway: Gateway = {
    dir,
    clock,
    purged,
    logged,
    searches,
    checks,
    applied,
    ...(await open()),
    restart: async () => {
      await gateway.app.close();
      gateway.state.close();
      Object.assign(gateway, await open());
    },
    close: async () => {
      await gateway.app.close();
      gateway.state.close();
      rmSync(dir, { recursive: true, force: true });
    },
  };
  return gateway;
};

export const addAccount = (gateway: Gateway, username: string, role: Role, temporary = false) =>
  gateway.accounts.create(
    { username, name: `Person ${username}`, role, password: PASSWORD, temporary },
    { who: 'local:root', role: 'technician' },
  );

/** One account for each role, named after it; returns a Bearer header for each. */
export const addEveryRole = async (gateway: Gateway): Promise<Record<Role, { authorization: string }>> => {
  const entries = await Promise.all(
    ROLES.map(async (role) => {
      const account = await addAccount(gateway, role, role);
      return [role, { authorization: `Bearer ${gateway.sessions.start(account).token}` }] as const;
    }),
  );
  return Object.fromEntries(entries) as Record<Role, { authorization: string }>;
};

export const login = (gateway: Gateway, username: string, password = PASSWORD, remoteAddress = '127.0.0.1') =>
  gateway.app.inject({
    method: 'POST',
    url: '/api/v1/login',
    payload: { username, password },
    remoteAddress,
  });
