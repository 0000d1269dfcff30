import { describe, expect, it } from 'vitest';
import { createDecisionMemo } from '../../src/policy/decision-memo.ts';
import type { Client, Verdict } from '../../src/policy/types.ts';
import { bareVerdict } from '../../src/policy/verdicts.ts';

const CLIENT: Client = {
  address: '10.0.0.1',
  device: null,
  group: 'ks1',
  class: null,
  user: null,
  inCharge: null,
};
const verdict = (until: number | null): Verdict => ({ ...bareVerdict(CLIENT, 'timed', 'x'), until });

describe('the memo of decisions', () => {
  it('tells apart whom the policy can tell apart, and nobody else', () => {
    const { profile } = createDecisionMemo();
    const one = profile(CLIENT);
    expect(profile({ ...CLIENT, address: '10.0.0.2' })).toBe(one);
    const others = [
      { group: 'ks2' },
      { class: '' },
      { class: 'hedgehogs' },
      { user: 'hedgehogs' },
      { device: 'hedgehogs' },
    ].map((more) => profile({ ...CLIENT, ...more }));
    expect(new Set([one, ...others]).size).toBe(6);
  });

  it('O04: holds a decision from its making until it may turn, also when the clock is set back', () => {
    const memo = createDecisionMemo();
    const kept = verdict(2000);
    memo.keep(7, 9, 1, 1000, kept);
    expect(memo.find(7, 9, 1, 1000)).toBe(kept);
    expect(memo.find(7, 9, 1, 1999)).toBe(kept);
    expect(memo.find(7, 9, 1, 2000)).toBeNull();
    expect(memo.find(7, 9, 1, 999)).toBeNull();
    expect(memo.find(7, 8, 1, 1500)).toBeNull();
    expect(memo.find(6, 9, 1, 1500)).toBeNull();
    expect(memo.find(7, 9, 2, 1500)).toBeNull();
    memo.forget();
    expect(memo.find(7, 9, 1, 1500)).toBeNull();
  });

  it('knows nothing of a name that hashes to zero before it was told', () => {
    expect(createDecisionMemo().find(0, 0, 0, 5)).toBeNull();
    expect(createDecisionMemo().find(0, 0, 1, 5)).toBeNull();
  });
});
