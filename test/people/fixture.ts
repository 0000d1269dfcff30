// A people room over a real state.db in a directory of its own, with a clock that the test moves.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { accountMigrations, createAccounts } from '../../src/people/accounts.ts';
import type { AccountChange, Accounts } from '../../src/people/accounts.ts';
import { createPasswords } from '../../src/people/passwords.ts';
import { createSessions, sessionMigrations } from '../../src/people/sessions.ts';
import type { Sessions } from '../../src/people/sessions.ts';
import { openState } from '../../src/state/open-state.ts';
import type { State } from '../../src/state/open-state.ts';

export const START = Date.UTC(2026, 8, 7, 9);
export const GOOD = 'Blue-Kettle-42';
export const HEAD = { who: 'local:root', role: 'technician' };

export type People = {
  dir: string;
  clock: { at: number };
  state: State;
  accounts: Accounts;
  sessions: Sessions;
  changes: AccountChange[];
  /** closes state.db and opens it again, as a restart does */
  restart(): void;
  close(): void;
};

export const openPeople = (): People => {
  const dir = mkdtempSync(join(tmpdir(), 'people-'));
  const clock = { at: START };
  const now = (): number => clock.at;
  const changes: AccountChange[] = [];
  const open = () => {
    const state = openState({
      file: join(dir, 'state.db'),
      migrations: [...accountMigrations, ...sessionMigrations],
      now,
    });
    const accounts = createAccounts({
      state,
      passwords: createPasswords(),
      now,
      record: (change) => changes.push(change),
    });
    return { state, accounts, sessions: createSessions({ state, accounts, now }) };
  };
  const people: People = {
    dir,
    clock,
    changes,
    ...open(),
    restart: () => {
      people.state.close();
      Object.assign(people, open());
    },
    close: () => {
      people.state.close();
      rmSync(dir, { recursive: true, force: true });
    },
  };
  return people;
};

export const addTechnician = (accounts: Accounts, username = 'tess') =>
  accounts.create(
    { username, name: 'Tess Green', role: 'technician', password: GOOD, temporary: false },
    HEAD,
  );
