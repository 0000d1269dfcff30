// What a name of the school's own is allowed whatever its group says of names in general: the one rule for DNS and proxy. Pure.

import type { Reason, Verdict } from './types.ts';

/** Blocks that say nothing of the name itself, only that nobody knows it or who asks. */
const NOT_OF_THE_NAME: ReadonlySet<Reason> = new Set([
  'default-block',
  'identity-required',
  'suspended',
  'unrated',
]);

/**
 * Whether a record of the school's own is given for a name with this verdict: a printer works for everyone, also while
 * unknown names are blocked. What a list, a rule or safe search says of the very name stays so.
 */
export function yieldsToLocal(verdict: Verdict): boolean {
  return verdict.action === 'allow' || NOT_OF_THE_NAME.has(verdict.reason);
}
