// Made-up audit events, for tests and for the programs that tests start. No tests here.

import type { DecodedDecision } from '../../src/audit/event.ts';

/** A Sunday afternoon; tests add to it. */
export const T0 = Date.UTC(2026, 10, 22, 15, 0, 0);
export const DAY = 86_400_000;

export const block = (more: Partial<DecodedDecision> = {}): DecodedDecision => ({
  at: T0,
  channel: 'dns',
  client: '10.2.0.7',
  device: 'year-2-ipads',
  user: null,
  group: 'ks1',
  class: 'hedgehogs',
  inCharge: 'm.hart',
  host: 'bets.example',
  path: null,
  method: 'A',
  category: 'gambling',
  list: 'starter-gambling',
  rating: 'unacceptable',
  action: 'block',
  reason: 'unacceptable',
  rule: 'gambling is unacceptable for ks1',
  overrideId: null,
  policyGeneration: 3,
  indexGeneration: 7,
  bytesIn: 40,
  bytesOut: 80,
  durationMs: 0.25,
  count: more.more === true ? 0 : 1,
  more: false,
  ...more,
});

export const visit = (more: Partial<DecodedDecision> = {}): DecodedDecision =>
  block({
    host: 'maps.example',
    category: null,
    list: null,
    rating: null,
    action: 'allow',
    reason: 'local-allow',
    rule: 'allow maps.example (ks1)',
    ...more,
  });

export const byOverride = (more: Partial<DecodedDecision> = {}): DecodedDecision =>
  visit({ reason: 'override', rule: 'override', overrideId: 'o-1', ...more });
