// Passwords: what makes one acceptable, and hashing with argon2id off the main thread. Knows nothing of accounts.

import { randomBytes } from 'node:crypto';
import { hash, verify } from '@node-rs/argon2';

/** OWASP's first choice for argon2id: 19 MiB, two passes, one lane. */
const PARAMETERS = { memoryCost: 19_456, timeCost: 2, parallelism: 1, outputLen: 32, algorithm: 2 } as const;

/** Two of the four threads of libuv's pool, so that file access never waits behind a rush of sign-ins. */
const AT_ONCE = 2;
/** A class signing in together waits its turn; beyond this the answer is `PasswordsBusy`. */
const MAX_WAITING = 200;

const PASSWORD_MIN = 8;
/** Long enough for any passphrase, short enough that hashing is no lever for an attack. */
const PASSWORD_MAX = 256;

/** Too many sign-ins at once: try again in some seconds. */
export class PasswordsBusy extends Error {}

export type Passwords = {
  /** A PHC string. Rejects with PasswordsBusy. */
  hash(password: string): Promise<string>;
  /** Rejects with PasswordsBusy; a stored hash that cannot be read is `false`. */
  verify(stored: string, password: string): Promise<boolean>;
  /** Takes as long as `verify` and is always false: an unknown name must not answer faster than a known one. */
  verifyNobody(password: string): Promise<false>;
};

export const createPasswords = (): Passwords => {
  const gate = createGate(AT_ONCE, MAX_WAITING);
  // Random bytes in the shape of a hash cost a full verification and no password matches them.
  const part = (bytes: number): string => randomBytes(bytes).toString('base64').replace(/=+$/, '');
  const nobody = `$argon2id$v=19$m=${PARAMETERS.memoryCost},t=${PARAMETERS.timeCost},p=1$${part(16)}$${part(32)}`;
  const check = async (stored: string, password: string): Promise<boolean> => {
    try {
      return await verify(stored, normalise(password));
    } catch {
      return false;
    }
  };
  return {
    hash: (password) => gate(() => hash(normalise(password), PARAMETERS)),
    verify: (stored, password) => gate(() => check(stored, password)),
    verifyNobody: async (password) => {
      await gate(() => check(nobody, password));
      return false;
    },
  };
};

/** One person's keyboard may send é as one code point and another's as two: compare what they meant. */
const normalise = (password: string): string => password.normalize('NFKC');

const createGate = (atOnce: number, maxWaiting: number) => {
  let running = 0;
  const waiting: (() => void)[] = [];
  return async <T>(work: () => Promise<T>): Promise<T> => {
    if (running >= atOnce) {
      if (waiting.length >= maxWaiting) throw new PasswordsBusy('too many sign-ins at once');
      // The place is handed over by whoever leaves, so `running` stays as it is.
      await new Promise<void>((resolve) => waiting.push(resolve));
    } else {
      running += 1;
    }
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      if (next) next();
      else running -= 1;
    }
  };
};

/**
 * What is wrong with a password, in words for the person who chose it, or null when it will do.
 * The rule is the policies' own: at least 8 characters, three of the four kinds, and none of the trivial ones.
 */
export const passwordProblem = (password: string, username: string): string | null => {
  const text = normalise(password);
  const length = [...text].length;
  if (length < PASSWORD_MIN) return `Use at least ${PASSWORD_MIN} characters.`;
  if (length > PASSWORD_MAX) return `Use at most ${PASSWORD_MAX} characters.`;
  const kinds = [/\p{Lu}/u, /\p{Ll}/u, /\p{Nd}/u, /[^\p{L}\p{Nd}]/u].filter((kind) => kind.test(text)).length;
  if (kinds < 3) {
    return 'Use at least three of these: capital letters, small letters, numbers, other characters.';
  }
  if (isTrivial(text, username)) return 'This is too easy to guess. Choose something less common.';
  return null;
};

/** Words that trivial passwords are made of; the digits and marks around them add nothing. */
const TRIVIAL_WORDS = new Set(
  (
    'password passwort passw pass word welcome letmein qwerty qwertyuiop qwertz azerty asdf asdfgh asdfghjkl ' +
    'zxcvbn zxcvbnm qazwsx abc abcd abcde abcdef abcdefg abcdefgh admin administrator root user guest test ' +
    'testing temp temporary changeme change default secret login logon master computer internet school ' +
    'primary academy teacher pupil student headteacher head office class classroom learning spring summer ' +
    'autumn winter monday tuesday wednesday thursday friday january february march april june july august ' +
    'september october november december football liverpool arsenal chelsea monkey dragon sunshine princess ' +
    'superman batman pokemon iloveyou hello london england schoolgate gateway filter'
  ).split(' '),
);

const LOOKALIKES: Readonly<Record<string, string>> = {
  '@': 'a',
  '4': 'a',
  '3': 'e',
  '1': 'i',
  '!': 'i',
  '0': 'o',
  '5': 's',
  $: 's',
  '7': 't',
};

const isTrivial = (text: string, username: string): boolean => {
  const lower = text.toLowerCase();
  if (/^(.{1,3})\1+.?$/u.test(lower)) return true;
  if (username.length >= 3 && stripped(lower).replaceAll(username, '').length <= 2) return true;
  const plain = stripped(lower);
  const read = stripped([...lower].map((character) => LOOKALIKES[character] ?? character).join(''));
  // `Password1!` ends in marks that read as letters, so the edges go before the look-alikes are read as well.
  const edged = [...plain].map((character) => LOOKALIKES[character] ?? character).join('');
  return [plain, read, edged].some((word) => word === '' || TRIVIAL_WORDS.has(word));
};

/** Without the digits and marks at both ends. */
const stripped = (text: string): string => text.replace(/^[^\p{L}]+/u, '').replace(/[^\p{L}]+$/u, '');
