// What a verdict becomes when the name leads to others (a chain of aliases): the one rule for DNS and proxy. Pure.

import type { Verdict } from './types.ts';

/** Whether a verdict opens the name, be it in a form of the gateway's choice. */
export function letsThrough(verdict: Verdict): boolean {
  return verdict.action === 'allow' || verdict.action === 'rewrite';
}

/**
 * The verdict for an allowed (or rewritten) name whose answer leads through the names of `chain`, each decided by `decide`: the block of
 * the first name that forbids it, or the given verdict, ending as early as any of them turns. What is not allowed stays so.
 *
 * An allow or an override of a name covers what its chain needs, never a sealed name. A chain may pass through names that
 * no list knows, such as a content network's, even where unknown names are blocked: the name asked for was allowed. A
 * rewrite led to a name that the gateway chose itself, so it covers its chain as an allow list does.
 *
 * A search engine that the group has only in its safe form is not reached by another name for it.
 *
 * The same holds for the addresses at the end: `decide` says null of one that no list holds.
 */
export function decideChain<Name>(
  verdict: Verdict,
  chain: readonly Name[],
  decide: (name: Name) => Verdict | null,
): Verdict {
  if (!letsThrough(verdict)) return verdict;
  const covers =
    verdict.action === 'rewrite' || verdict.reason === 'override' || verdict.reason === 'local-allow';
  let { until } = verdict;
  for (const name of chain) {
    const target = decide(name);
    if (target === null) continue;
    if (target.action === 'rewrite' && verdict.action !== 'rewrite')
      return { ...target, action: 'block', target: null };
    if (letsThrough(target)) {
      if (target.until !== null && (until === null || target.until < until)) until = target.until;
      continue;
    }
    if (target.reason === 'illegal') return target;
    if (covers || target.reason === 'default-block') continue;
    return target;
  }
  return until === verdict.until ? verdict : { ...verdict, until };
}
