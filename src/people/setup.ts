// The one-time setup link of a gateway without an administrator: a secret in a file that only the machine's owner can
// read, good for an hour and for one account. The log names the file, never the secret.

import { closeSync, fsyncSync, openSync, rmSync, writeSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import type { Account, Accounts } from './accounts.ts';
import { ADMINISTRATOR } from './roles.ts';
import { sameSecret } from './sessions.ts';

export type Setup = {
  /** Writes a fresh link if there is no administrator, else removes what is left of an old one. True when written. */
  begin(): boolean;
  /** Whether this token opens the setup page now. */
  check(token: string): boolean;
  /** Makes the first technician and kills the link. Throws SetupClosed, AccountError. */
  complete(token: string, account: { username: string; name: string; password: string }): Promise<Account>;
};

/** The link is wrong, used, older than an hour, or an administrator exists. */
export class SetupClosed extends Error {}

const LIFE_MS = 3_600_000;

export const createSetup = (deps: {
  /** DATA/setup-link */
  file: string;
  /** where the page is, without the token: `http://127.0.0.1:8080/setup`; asked when the link is written */
  pageUrl: () => string;
  accounts: Pick<Accounts, 'create' | 'hasAdministrator'>;
  now: () => number;
  log: { info(fields: object, message: string): void };
}): Setup => {
  const { file, accounts, now, log } = deps;
  let link: { token: string; until: number } | null = null;

  const close = (): void => {
    link = null;
    rmSync(file, { force: true });
  };
  const check = (token: string): boolean => {
    if (link === null) return false;
    if (now() >= link.until || accounts.hasAdministrator()) {
      close();
      return false;
    }
    return sameSecret(token, link.token);
  };

  return {
    begin: () => {
      close();
      if (accounts.hasAdministrator()) return false;
      const token = randomBytes(32).toString('base64url');
      // 'wx' on a path just removed: a link planted there by someone else is refused, not followed.
      const handle = openSync(file, 'wx', 0o600);
      try {
        writeSync(handle, `${deps.pageUrl()}?token=${token}\n`);
        fsyncSync(handle);
      } finally {
        closeSync(handle);
      }
      link = { token, until: now() + LIFE_MS };
      log.info(
        { file },
        'there is no technician account yet: open the link in this file within an hour to make one',
      );
      return true;
    },
    check,
    complete: async (token, account) => {
      if (!check(token)) throw new SetupClosed();
      const made = await accounts.create(
        { ...account, role: ADMINISTRATOR, temporary: false },
        { who: 'setup-link', role: ADMINISTRATOR },
        // Two people may have sent the form at once: the second finds an administrator.
        () => {
          if (accounts.hasAdministrator()) throw new SetupClosed();
        },
      );
      close();
      return made;
    },
  };
};
