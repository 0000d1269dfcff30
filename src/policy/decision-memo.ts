// Decisions already made, by name and by who asks, so that a name asked again costs a look instead of a walk through every
// list. Only what the engine decided is kept, and only while nothing that it was decided with has changed. Pure.

import type { Client, Verdict } from './types.ts';

export type DecisionMemo = {
  /** a number that two clients share when the policy cannot tell them apart */
  profile(client: Client): number;
  /** the verdict for the name with this hash, or null when it is not known or may have turned by itself */
  find(lo: number, hi: number, profile: number, now: number): Verdict | null;
  keep(lo: number, hi: number, profile: number, now: number, verdict: Verdict): void;
  /** something changed: nothing that was decided holds any longer */
  forget(): void;
};

/** One slot for each name and profile, the newest wins: 32 bytes and a reference each. */
const SLOTS = 16_384;
const MAX_PROFILES = 4096;

export function createDecisionMemo(): DecisionMemo {
  // hash low, hash high, profile (0: empty), unused, then two doubles: valid from and until, UTC ms
  const memory = new ArrayBuffer(SLOTS * 32);
  const words = new Uint32Array(memory);
  const times = new Float64Array(memory);
  const verdicts = new Array<Verdict | null>(SLOTS).fill(null);
  const profiles = new Map<string, number>();
  let lastProfile = 0;

  const slotOf = (lo: number, profile: number): number =>
    ((lo ^ Math.imul(profile, 0x9e3779b1)) >>> 3) & (SLOTS - 1);

  return {
    profile({ group, class: inClass, user, device }) {
      const key = `${group}\n${inClass ?? '\t'}\n${user ?? '\t'}\n${device ?? '\t'}`;
      let profile = profiles.get(key);
      if (profile === undefined) {
        if (profiles.size >= MAX_PROFILES) profiles.clear();
        // never given twice, so that a slot of a profile that was cleared is never taken for another's
        profile = ++lastProfile;
        profiles.set(key, profile);
      }
      return profile;
    },
    find(lo, hi, profile, now) {
      const slot = slotOf(lo, profile);
      const at = slot * 8;
      if (words[at] !== lo || words[at + 1] !== hi || words[at + 2] !== profile) return null;
      // A clock that was set back may be before what the verdict counted on.
      if (now < (times[slot * 4 + 2] as number) || now >= (times[slot * 4 + 3] as number)) return null;
      return verdicts[slot] as Verdict | null;
    },
    keep(lo, hi, profile, now, verdict) {
      const slot = slotOf(lo, profile);
      const at = slot * 8;
      words[at] = lo;
      words[at + 1] = hi;
      words[at + 2] = profile;
      times[slot * 4 + 2] = now;
      times[slot * 4 + 3] = verdict.until ?? Infinity;
      verdicts[slot] = verdict;
    },
    forget() {
      words.fill(0);
      verdicts.fill(null);
      profiles.clear();
    },
  };
}
