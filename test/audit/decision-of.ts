// The decision that decodes to an event, for tests and for the threads that tests start. No tests here.

import type { DecodedDecision } from '../../src/audit/event.ts';
import type { Decision } from '../../src/policy/types.ts';

export const decisionOf = (e: DecodedDecision): Decision => ({
  at: e.at,
  channel: e.channel,
  client: {
    address: e.client,
    device: e.device,
    group: e.group,
    class: e.class,
    user: e.user,
    inCharge: e.inCharge,
  },
  host: e.host,
  path: e.path,
  method: e.method,
  verdict: {
    action: e.action,
    reason: e.reason,
    category: e.category,
    rating: e.rating,
    rule: e.rule,
    list: e.list,
    group: e.group,
    overrideId: e.overrideId,
    target: null,
    until: null,
  },
  policyGeneration: e.policyGeneration,
  indexGeneration: e.indexGeneration,
  bytesIn: e.bytesIn,
  bytesOut: e.bytesOut,
  durationMs: e.durationMs,
  count: e.count,
  more: e.more,
});
