// Accounts: who may sign in, with which role, and the lock-out after wrong passwords. The one place that reads and
// writes password hashes; they never leave this file. Sessions are in sessions.ts.

import { LRUCache } from 'lru-cache';
import type { Migration, State } from '../state/open-state.ts';
import { passwordProblem } from './passwords.ts';
import { createQueue } from './queue.ts';
import type { Passwords } from './passwords.ts';
import { ADMINISTRATOR, canonicalUsername, isRole, USERNAME_RULE } from './roles.ts';
import type { Role } from './roles.ts';

/** Times are UTC ms. The password hash is not part of it. */
export type Account = {
  readonly id: number;
  readonly username: string;
  readonly name: string;
  readonly role: Role;
  /** the password is temporary: nothing but changing it is allowed */
  readonly mustChange: boolean;
  readonly createdAt: number;
  readonly createdBy: string;
  readonly passwordAt: number;
  readonly disabledAt: number | null;
  readonly lockedUntil: number | null;
};

/** Who does something to an account: a username or `local:<os user>`, and the role they act in. */
export type AccountAuthor = { readonly who: string; readonly role: string };

/** What is told to the change log, inside the same transaction. Never a password or a hash. */
export type AccountChange = {
  readonly author: AccountAuthor;
  readonly what:
    'account.created' | 'account.password' | 'account.disabled' | 'account.enabled' | 'account.unlocked';
  readonly before: object | null;
  readonly after: object | null;
  readonly reason: string;
};

export type SignIn =
  | { readonly ok: true; readonly account: Account }
  | { readonly ok: false; readonly why: 'wrong' }
  | { readonly ok: false; readonly why: 'locked'; readonly until: number };

export type AccountErrorCode = 'invalid' | 'taken' | 'unknown' | 'last-administrator';

/** `field` is the name of what is wrong; `message` says what to write. */
export class AccountError extends Error {
  readonly code: AccountErrorCode;
  readonly field: string;
  constructor(code: AccountErrorCode, field: string, message: string) {
    super(message);
    this.name = 'AccountError';
    this.code = code;
    this.field = field;
  }
}

export type NewAccount = {
  readonly username: string;
  readonly name: string;
  readonly role: string;
  readonly password: string;
  readonly temporary: boolean;
};

export type Accounts = {
  /** Throws AccountError: invalid, taken. `guard` runs in the same transaction and may throw to refuse. */
  create(account: NewAccount, author: AccountAuthor, guard?: () => void): Promise<Account>;
  find(username: string): Account | null;
  byId(id: number): Account | null;
  /** By username; `after` is the last username of the page before. */
  list(limit: number, after: string | null): Account[];
  /** Throws AccountError. A temporary password must be changed at the next sign-in. Ends a lock. */
  setPassword(
    username: string,
    password: string,
    options: { temporary: boolean; reason: string },
    author: AccountAuthor,
  ): Promise<Account>;
  /** Throws AccountError. Refuses the last administrator. Disabling twice is nothing new. */
  disable(username: string, reason: string, author: AccountAuthor): Account;
  enable(username: string, reason: string, author: AccountAuthor): Account;
  unlock(username: string, reason: string, author: AccountAuthor): Account;
  /** Checks a password and counts failures. The same answer and the same time for unknown and for disabled names. */
  signIn(username: string, password: string): Promise<SignIn>;
  /** An administrator exists who is not disabled. */
  hasAdministrator(): boolean;
};

export type LockSettings = {
  /** wrong passwords in a row that lock; the policies say six */
  readonly failures: number;
  /** how long a lock lasts, ms */
  readonly lockMs: number;
};

const DEFAULT_LOCK: LockSettings = { failures: 6, lockMs: 15 * 60_000 };

/** Names tried that no account has: remembered so that their answers do not differ, and bounded. */
const MAX_UNKNOWN = 5_000;
/** Sign-ins to one account that wait for each other; a class account may see a whole class at once. */
const MAX_QUEUE = 60;

export const accountMigrations: readonly Migration[] = [
  {
    room: 'accounts',
    version: 1,
    sql: `
CREATE TABLE accounts (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  username TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL,
  role TEXT NOT NULL,
  password TEXT NOT NULL,
  must_change INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  created_by TEXT NOT NULL,
  password_at INTEGER NOT NULL,
  disabled_at INTEGER,
  failures INTEGER NOT NULL DEFAULT 0,
  locked_until INTEGER
) STRICT`,
  },
];

type Row = {
  id: number;
  username: string;
  name: string;
  role: Role;
  password: string;
  must_change: number;
  created_at: number;
  created_by: string;
  password_at: number;
  disabled_at: number | null;
  failures: number;
  locked_until: number | null;
};

type Failures = { failures: number; locked_until: number | null };

export const createAccounts = (deps: {
  state: State;
  passwords: Passwords;
  now: () => number;
  /** called inside the transaction of each change; gateway wires it to the change log */
  record: (change: AccountChange) => void;
  lock?: LockSettings;
}): Accounts => {
  const { state, passwords, now, record } = deps;
  const lock = deps.lock ?? DEFAULT_LOCK;
  const { db } = state;
  const byUsername = db.prepare('SELECT * FROM accounts WHERE username = ?');
  const byId = db.prepare('SELECT * FROM accounts WHERE id = ?');
  const page = db.prepare('SELECT * FROM accounts WHERE username > ? ORDER BY username LIMIT ?');
  const insert = db.prepare(`
    INSERT INTO accounts (username, name, role, password, must_change, created_at, created_by, password_at)
    VALUES (@username, @name, @role, @password, @mustChange, @at, @by, @at)`);
  const administrators = db.prepare(
    'SELECT count(*) FROM accounts WHERE role = ? AND disabled_at IS NULL AND id <> ?',
  );
  administrators.pluck();
  const setHash = db.prepare(`
    UPDATE accounts SET password = ?, must_change = ?, password_at = ?, failures = 0, locked_until = NULL WHERE id = ?`);
  const setDisabled = db.prepare('UPDATE accounts SET disabled_at = ? WHERE id = ?');
  const setFailures = db.prepare('UPDATE accounts SET failures = ?, locked_until = ? WHERE id = ?');
  const unknown = new LRUCache<string, Failures>({ max: MAX_UNKNOWN });
  const queue = createQueue(MAX_QUEUE);

  const rowOf = (username: string): Row | undefined => {
    const name = canonicalUsername(username);
    return name === null ? undefined : (byUsername.get(name) as Row | undefined);
  };
  const known = (username: string): Row => {
    const row = rowOf(username);
    if (!row) throw new AccountError('unknown', 'username', 'There is no account of this name.');
    return row;
  };
  const read = (id: number): Account => toAccount(byId.get(id) as Row);

  const create: Accounts['create'] = async (account, author, guard) => {
    const { username, name, role } = checkNew(account);
    if (rowOf(username)) throw taken();
    const password = await passwords.hash(account.password);
    return state.transaction(() => {
      guard?.();
      // Hashing took its time: another request may have made the same name meanwhile.
      if (rowOf(username)) throw taken();
      const at = now();
      const mustChange = account.temporary ? 1 : 0;
      const { lastInsertRowid } = insert.run({
        username,
        name,
        role,
        password,
        mustChange,
        at,
        by: author.who,
      });
      const after = { username, name, role, temporary: account.temporary };
      record({ author, what: 'account.created', before: null, after, reason: '' });
      return read(Number(lastInsertRowid));
    });
  };

  const setPassword: Accounts['setPassword'] = async (username, password, options, author) => {
    const row = known(username);
    const problem = passwordProblem(password, row.username);
    if (problem !== null) throw new AccountError('invalid', 'password', problem);
    // A temporary password that is "changed" into itself would still be the one on the slip of paper.
    if (!options.temporary && (await passwords.verify(row.password, password))) {
      throw new AccountError('invalid', 'password', 'Choose a password that is not the present one.');
    }
    const hashed = await passwords.hash(password);
    return state.transaction(() => {
      setHash.run(hashed, options.temporary ? 1 : 0, now(), row.id);
      const after = { username: row.username, temporary: options.temporary };
      record({ author, what: 'account.password', before: null, after, reason: options.reason });
      return read(row.id);
    });
  };

  const disable: Accounts['disable'] = (username, reason, author) =>
    state.transaction(() => {
      const row = known(username);
      if (row.disabled_at !== null) return toAccount(row);
      if (row.role === ADMINISTRATOR && (administrators.get(ADMINISTRATOR, row.id) as number) === 0) {
        throw new AccountError(
          'last-administrator',
          'username',
          'This is the last technician. Make another one first, so that nobody is locked out.',
        );
      }
      setDisabled.run(now(), row.id);
      record({ author, what: 'account.disabled', before: { username: row.username }, after: null, reason });
      return read(row.id);
    });

  const enable: Accounts['enable'] = (username, reason, author) =>
    state.transaction(() => {
      const row = known(username);
      if (row.disabled_at === null) return toAccount(row);
      setDisabled.run(null, row.id);
      record({ author, what: 'account.enabled', before: null, after: { username: row.username }, reason });
      return read(row.id);
    });

  const unlock: Accounts['unlock'] = (username, reason, author) =>
    state.transaction(() => {
      const row = known(username);
      if (row.failures === 0 && row.locked_until === null) return toAccount(row);
      setFailures.run(0, null, row.id);
      record({ author, what: 'account.unlocked', before: null, after: { username: row.username }, reason });
      return read(row.id);
    });

  const signIn: Accounts['signIn'] = (username, password) =>
    // One at a time for each name: guesses sent side by side must not all pass before the first is counted.
    queue(username.slice(0, 80).toLowerCase(), async () => {
      const row = rowOf(username);
      const name = username.slice(0, 80).toLowerCase();
      const before: Failures = row ?? unknown.get(name) ?? { failures: 0, locked_until: null };
      const at = now();
      if (before.locked_until !== null && before.locked_until > at) {
        return { ok: false, why: 'locked', until: before.locked_until };
      }
      const right =
        row && password.length <= 4 * 256
          ? await passwords.verify(row.password, password)
          : await passwords.verifyNobody(password.slice(0, 256));
      // Read again: the account may have been disabled or given a new password while the hash was computed.
      const fresh = row ? (byId.get(row.id) as Row) : undefined;
      if (right && fresh && fresh.disabled_at === null && fresh.password === row?.password) {
        if (fresh.failures > 0) setFailures.run(0, null, fresh.id);
        return { ok: true, account: toAccount({ ...fresh, failures: 0, locked_until: null }) };
      }
      const failures = before.locked_until === null ? before.failures + 1 : 1;
      const lockedUntil = failures >= lock.failures ? at + lock.lockMs : null;
      if (row) setFailures.run(failures, lockedUntil, row.id);
      else unknown.set(name, { failures, locked_until: lockedUntil });
      return lockedUntil === null
        ? { ok: false, why: 'wrong' }
        : { ok: false, why: 'locked', until: lockedUntil };
    });

  return {
    create,
    find: (username) => {
      const row = rowOf(username);
      return row ? toAccount(row) : null;
    },
    byId: (id) => {
      const row = byId.get(id) as Row | undefined;
      return row ? toAccount(row) : null;
    },
    list: (limit, after) => (page.all(after ?? '', limit) as Row[]).map(toAccount),
    setPassword,
    disable,
    enable,
    unlock,
    signIn,
    hasAdministrator: () => (administrators.get(ADMINISTRATOR, -1) as number) > 0,
  };
};

const taken = (): AccountError =>
  new AccountError('taken', 'username', 'There is an account of this name already.');

const checkNew = (account: NewAccount): { username: string; name: string; role: Role } => {
  const username = canonicalUsername(account.username);
  if (username === null) throw new AccountError('invalid', 'username', `A username has ${USERNAME_RULE}.`);
  const name = account.name.normalize('NFC').trim();
  if (name === '' || name.length > 100 || /\p{Cc}/u.test(name)) {
    throw new AccountError('invalid', 'name', 'Write the name of the person, 1 to 100 characters.');
  }
  const { role } = account;
  if (!isRole(role)) throw new AccountError('invalid', 'role', 'There is no such role.');
  const problem = passwordProblem(account.password, username);
  if (problem !== null) throw new AccountError('invalid', 'password', problem);
  return { username, name, role };
};

const toAccount = (row: Row): Account => ({
  id: row.id,
  username: row.username,
  name: row.name,
  role: row.role,
  mustChange: row.must_change === 1,
  createdAt: row.created_at,
  createdBy: row.created_by,
  passwordAt: row.password_at,
  disabledAt: row.disabled_at,
  lockedUntil: row.locked_until,
});
