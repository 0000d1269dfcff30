// The names that safe search leads to, in wire form and numbered, so that answers made of different targets are told apart.

import type { Verdict } from '../policy/types.ts';

export type RewriteTargets = {
  /** the target of a rewrite in wire form; the same object each time */
  wire(verdict: Verdict): Uint8Array;
  /** from 1 */
  number(verdict: Verdict): number;
};

type Target = { readonly wire: Uint8Array; readonly number: number };

export function createRewriteTargets(): RewriteTargets {
  // Bounded by the engines that the policy knows.
  const targets = new Map<string, Target>();

  function of({ target }: Verdict): Target {
    if (target === null) throw new Error('a rewrite without a target');
    let known = targets.get(target);
    if (known === undefined) {
      known = { wire: wireName(target), number: targets.size + 1 };
      targets.set(target, known);
    }
    return known;
  }

  return { wire: (verdict) => of(verdict).wire, number: (verdict) => of(verdict).number };
}

function wireName(name: string): Uint8Array {
  const bytes: number[] = [];
  for (const label of name.split('.')) {
    bytes.push(label.length);
    for (let i = 0; i < label.length; i++) bytes.push(label.charCodeAt(i));
  }
  bytes.push(0);
  return Uint8Array.from(bytes);
}
