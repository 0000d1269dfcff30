import { describe, expect, it } from 'vitest';
import type { UpstreamReport } from '../../src/workers/messages.ts';
import { createUpstreamLog } from '../../src/workers/upstream-log.ts';

const state = (up: boolean, reason: string, more: Partial<UpstreamReport> = {}): UpstreamReport => ({
  name: '192.0.2.1:53',
  domain: '.',
  kind: 'udp',
  up,
  trouble: reason === '' ? null : { reason, at: 1 },
  queries: 1,
  answers: 1,
  failures: 1,
  timeouts: 0,
  mismatched: 0,
  spoofed: 0,
  retried: 0,
  hedged: 0,
  tcp: 0,
  inFlight: 0,
  cookies: false,
  mixedCase: true,
  latencyMs: 1,
  latency: [],
  latencySumMs: 1,
  ...more,
});

function rig() {
  const lines: string[] = [];
  const { look } = createUpstreamLog({
    log: (level, msg, { upstream, domain, reason = '' }) =>
      lines.push(`${level} ${msg} ${String(upstream)} ${String(domain)} ${String(reason)}`.trim()),
  });
  return { lines, look };
}
const DOWN = 'warn upstream down 192.0.2.1:53 .';
const BACK = 'info upstream answers again 192.0.2.1:53 .';

describe('what is logged of upstreams', () => {
  it('once that one is down and why, once that it is back, nothing of one that is well', () => {
    const { lines, look } = rig();
    look([state(true, '')], 0);
    look([state(true, 'lost one')], 1_000);
    expect(lines).toEqual([]);
    for (let at = 2_000; at < 600_000; at += 1_000) look([state(false, `no answer in ${at} ms`)], at);
    expect(lines).toEqual([`${DOWN} no answer in 2000 ms`]);
    for (let at = 600_000; at < 700_000; at += 1_000) look([state(true, 'old')], at);
    expect(lines.slice(1)).toEqual([BACK]);
  });

  it('at most one such pair a minute when it comes and goes, and it is not forgotten that it is down', () => {
    const { lines, look } = rig();
    for (let at = 0; at < 300_000; at += 1_000) look([state(at % 2_000 === 1_000, 'refused')], at);
    expect(lines.length).toBe(10);
    for (let at = 300_000; at < 400_000; at += 1_000) look([state(false, 'refused')], at);
    expect(lines.slice(10)).toEqual([`${DOWN} refused`]);
  });

  it('another reason is news, but not within a minute', () => {
    const { lines, look } = rig();
    for (let at = 0; at < 200_000; at += 1_000)
      look([state(false, at < 5_000 ? 'refused' : 'untrusted')], at);
    expect(lines).toEqual([`${DOWN} refused`, `${DOWN} untrusted`]);
  });

  it('the same server asked for a domain of its own is another; after a reload it is back with its first answer', () => {
    const { lines, look } = rig();
    const inside = state(true, '', { domain: 'inside.example' });
    look([state(false, 'refused'), inside], 0);
    look([state(true, '', { answers: 0 }), inside], 1_000);
    expect(lines).toEqual([`${DOWN} refused`]);
    look([state(true, ''), inside], 2_000);
    expect(lines).toEqual([`${DOWN} refused`, BACK]);
    // One that was taken out of the configuration is forgotten.
    look([state(false, 'refused')], 100_000);
    look([], 101_000);
    look([state(true, '')], 102_000);
    expect(lines.length).toBe(3);
  });
});
