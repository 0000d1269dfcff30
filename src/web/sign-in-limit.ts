// Holds back floods of sign-ins. One child guessing at one account uses up only that account's allowance from that
// address; the allowance of the address is wide enough for a class that signs in together.

import { LRUCache } from 'lru-cache';

export type SignInLimits = {
  /** attempts at one account from one address, a minute; above six, so that the lock-out (P03) comes first */
  readonly perAccount: number;
  /** attempts from one address at all accounts together, a minute */
  readonly perAddress: number;
};

export const DEFAULT_SIGN_IN_LIMITS: SignInLimits = { perAccount: 10, perAddress: 120 };

const WINDOW_MS = 60_000;
const MAX_KEYS = 10_000;

/** Returns a check: 0 when the attempt may go on, else the seconds to wait. `at` is UTC ms. */
export const createSignInLimit = (limits: SignInLimits) => {
  const windows = new LRUCache<string, { since: number; count: number }>({ max: MAX_KEYS });
  const windowOf = (key: string, at: number): { since: number; count: number } => {
    const found = windows.get(key);
    // A clock set back must not keep anyone out for longer than a window.
    if (found && at >= found.since && at - found.since < WINDOW_MS) return found;
    const fresh = { since: at, count: 0 };
    windows.set(key, fresh);
    return fresh;
  };
  const wait = (since: number, at: number): number => Math.max(1, Math.ceil((since + WINDOW_MS - at) / 1000));
  return (address: string, username: string, at: number): number => {
    // The space cannot be in an address, so no username can pose as the key of an address.
    const account = windowOf(`${address} ${username.toLowerCase().slice(0, 80)}`, at);
    if (account.count >= limits.perAccount) return wait(account.since, at);
    const all = windowOf(address, at);
    // An attempt that is turned away here is not counted against the address: the class can still sign in.
    if (all.count >= limits.perAddress) return wait(all.since, at);
    account.count += 1;
    all.count += 1;
    return 0;
  };
};
