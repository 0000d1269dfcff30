import { describe, expect, test } from 'vitest';
import type { BlockIndex } from '../../src/blocklist/types.ts';
import { ask, one } from './ask.ts';
import { buildIndex, override } from './fixture.ts';

describe('every step beats all steps below it', () => {
  const steps = ['sealed', 'bypass', 'suspended', 'identity', 'override', 'local', 'rating'] as const;
  const reasons = [
    'illegal',
    'bypass',
    'suspended',
    'identity-required',
    'override',
    'local-deny',
    'acceptable',
  ];
  const host = 'x.dns.google';
  const names = [host];
  const indexes = [false, true].map((sealed) =>
    [false, true].map((listed) =>
      buildIndex({
        s: { category: 'illegal', sealed: true, names: sealed ? names : ['elsewhere.test'] },
        l: { category: 'games', names: listed ? names : ['elsewhere.test'] },
      }),
    ),
  );
  const combinations = Array.from({ length: 2 ** steps.length }, (_, bits) =>
    steps.filter((_step, at) => (bits >> at) & 1),
  );
  test.each(combinations.map((on): [string, readonly string[]] => [on.join(' + ') || 'nothing', on]))(
    '%s',
    (_, on) => {
      const has = (step: string): boolean => on.includes(step);
      const model = one({
        bypass: has('bypass') ? 'block' : 'allow',
        identity: has('identity') ? 'class' : 'network',
        deny: has('local') ? [host] : [],
        ratings: { games: { kind: 'acceptable' } },
        ...(has('suspended') ? { suspended: { until: null, reason: 'a test' } } : {}),
        default: 'block',
      });
      const grant = override({ names, scope: { groups: [], classes: [], users: ['u'] } });
      const verdict = ask(model, host, {
        index: indexes[Number(has('sealed'))]?.[Number(has('rating'))] as BlockIndex,
        overrides: has('override') ? [grant] : [],
        who: { user: 'u' },
      });
      const first = steps.findIndex((step) => has(step));
      expect(verdict.reason).toBe(first < 0 ? 'default-block' : reasons[first]);
      const portal = first === 3;
      expect(verdict.action).toBe(portal ? 'portal' : first === 4 || first === 6 ? 'allow' : 'block');
    },
  );
});
