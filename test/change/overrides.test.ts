import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { OverrideError } from '../../src/change/grant-check.ts';
import type { GrantRequest } from '../../src/change/grant-check.ts';
import { stateOf } from '../../src/change/overrides.ts';
import { HOUR, openChange, START, TESS, wish } from './fixture.ts';
import type { ChangeRoom } from './fixture.ts';

let room: ChangeRoom;
beforeEach(() => {
  room = openChange();
});
afterEach(() => {
  room.close();
});

const refused = (work: () => unknown): OverrideError => {
  try {
    work();
  } catch (error) {
    if (error instanceof OverrideError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
};
const grant = (parts: Partial<GrantRequest> = {}) => room.overrides.grant(wish(parts), TESS);
const whats = (): string[] =>
  room.changeLog
    .list(100, null)
    .map((row) => row.what)
    .reverse();

describe('granting', () => {
  it('O01: is for names, a scope, a time and a reason, and every step is logged with who, when and why', () => {
    const made = grant({ names: ['Games.Example.com.', 'games.example.com', 'bücher.example'] });
    expect(made).toMatchObject({
      names: ['games.example.com', 'xn--bcher-kva.example'],
      scope: { groups: ['ks1'], classes: [], users: [] },
      from: START,
      until: START + HOUR,
      requestedBy: 'tess',
      decidedBy: 'tess',
      endedAt: null,
    });
    expect(room.overrides.inForce(START).map(({ id }) => id)).toEqual([made.id]);
    room.overrides.revoke(made.id, 'the lesson is over', { who: 'cora', role: 'coordinator' });
    const [revoked, granted] = room.changeLog.list(10, null);
    expect(granted).toMatchObject({ what: 'override.granted', who: 'tess', role: 'technician', at: START });
    expect(granted?.reason).toBe('maths lesson on probability');
    expect(JSON.parse(granted?.after ?? '')).toMatchObject({ id: made.id, names: made.names });
    expect(revoked).toMatchObject({ what: 'override.revoked', who: 'cora', reason: 'the lesson is over' });
    expect(room.changeLog.verify().ok).toBe(true);
  });

  it('O06: a grant by one person is marked for review', () => {
    expect(grant().review).toBe(true);
    expect(room.changeLog.list(1, null)[0]?.review).toBe(1);
  });

  it('F02: a name on a sealed list is refused, and the attempt is in the change log for review', () => {
    const error = refused(() => grant({ names: ['fine.example.com', 'SEALED.example.com'] }));
    expect(error).toMatchObject({ code: 'sealed', field: 'names' });
    expect(error.message).toContain('sealed.example.com');
    expect(room.overrides.list({ state: null, limit: 10, cursor: null }).items).toEqual([]);
    const [row] = room.changeLog.list(10, null);
    expect(row).toMatchObject({ what: 'override.refused', who: 'tess', review: 1 });
    expect(JSON.parse(row?.after ?? '')).toMatchObject({ sealed: ['sealed.example.com'] });
  });

  it.each<[string, Partial<GrantRequest>, string]>([
    ['no names', { names: [] }, 'names'],
    ['51 names', { names: Array.from({ length: 51 }, (_, i) => `n${i}.example.com`) }, 'names'],
    ['a URL', { names: ['a.example.com', 'https://b.example.com/x'] }, 'names[1]'],
    ['a wildcard', { names: ['*.example.com'] }, 'names[0]'],
    ['an IPv4 address', { names: ['10.0.0.1'] }, 'names[0]'],
    ['an IPv4 address in hexadecimal', { names: ['0x7f.1'] }, 'names[0]'],
    ['an IPv6 address', { names: ['[2001:db8::1]'] }, 'names[0]'],
    ['a top-level name', { names: ['com'] }, 'names[0]'],
    ['a public suffix', { names: ['Co.UK.'] }, 'names[0]'],
    ['a private public suffix', { names: ['github.io'] }, 'names[0]'],
    ['nobody in the scope', { scope: {} }, 'scope'],
    ['empty lists in the scope', { scope: { groups: [], classes: [], users: [] } }, 'scope'],
    ['an unknown group', { scope: { groups: ['ks1', 'ks9'] } }, 'scope.groups'],
    ['a group named like a property', { scope: { groups: ['__proto__'] } }, 'scope.groups'],
    ['an unknown class', { scope: { classes: ['badgers'] } }, 'scope.classes'],
    ['an unknown user', { scope: { users: ['nobody'] } }, 'scope.users'],
    ['a time now', { until: START }, 'until'],
    ['a time in the past', { until: START - HOUR }, 'until'],
    ['no time', { until: Number.NaN }, 'until'],
    ['for ever', { until: Number.POSITIVE_INFINITY }, 'until'],
    ['beyond the ceiling', { until: START + 12 * 7 * 24 * HOUR + 1 }, 'until'],
    ['a beginning in the past', { from: START - HOUR }, 'from'],
    ['a beginning after its end', { from: START + 2 * HOUR }, 'until'],
    ['a reason too short', { reason: ' ok ' }, 'reason'],
    ['a reason too long', { reason: 'x'.repeat(501) }, 'reason'],
  ])('refuses %s, names the field, writes nothing', (_what, parts, field) => {
    expect(refused(() => grant(parts))).toMatchObject({ code: 'invalid', field });
    expect([whats(), room.outbox.waiting()]).toEqual([[], 0]);
  });

  it('takes the ceiling itself, a class, a user in any case, and a later beginning', () => {
    const made = grant({
      scope: { classes: ['hedgehogs'], users: ['Sam'] },
      from: START + HOUR,
      until: START + 12 * 7 * 24 * HOUR,
    });
    expect(made.scope).toEqual({ groups: [], classes: ['hedgehogs'], users: ['sam'] });
    expect(stateOf(made, START)).toBe('scheduled');
    expect(room.overrides.inForce(START)).toEqual([]);
    expect(room.overrides.current()).toHaveLength(1);
  });

  it('holds a bound on how many are open', () => {
    room.close();
    room = openChange(2);
    grant();
    const second = grant();
    expect(refused(() => grant()).code).toBe('too-many');
    room.overrides.revoke(second.id, 'make room', TESS);
    expect(grant().endedAt).toBeNull();
  });

  it('gives ids that grow with time, even when the clock goes back, and name the site', () => {
    const ids: string[] = [];
    for (const step of [0, 0, 5, -1000, 0, 1]) {
      room.clock.at += step;
      ids.push(grant().id);
    }
    expect([...ids].sort()).toEqual(ids);
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids[0]).toMatch(/^[0-9a-z]{10}-[0-9a-z]{10}-main$/);
  });
});

describe('ending', () => {
  it('O01: ends by itself exactly on time, is said once, and is logged', () => {
    const made = grant();
    expect(room.overrides.nextTurn()).toBe(START + HOUR);
    room.clock.at = START + HOUR - 1;
    expect(room.overrides.expire()).toEqual([]);
    expect(room.overrides.inForce(room.clock.at)).toHaveLength(1);
    room.clock.at = START + HOUR;
    // The clock decides, not the sweep.
    expect(room.overrides.inForce(room.clock.at)).toEqual([]);
    expect(room.overrides.current()).toEqual([]);
    expect(room.overrides.list({ state: 'ended', limit: 5, cursor: null }).items).toHaveLength(1);
    room.clock.at += 5000;
    expect(room.overrides.expire()).toMatchObject([{ id: made.id, endedAt: START + HOUR, endedWhy: 'time' }]);
    expect(room.overrides.expire()).toEqual([]);
    expect(room.overrides.nextTurn()).toBeNull();
    expect(whats()).toEqual(['override.granted', 'override.ended']);
  });

  it('survives a restart, and one that ended meanwhile is ended with its true time', () => {
    const [short, long] = [grant(), grant({ until: START + 5 * HOUR })];
    room.clock.at = START + 2 * HOUR;
    room.restart();
    expect(room.overrides.inForce(room.clock.at).map(({ id }) => id)).toEqual([long.id]);
    expect(room.overrides.expire()).toMatchObject([{ id: short.id, endedAt: START + HOUR }]);
    expect(room.overrides.get(long.id)).toEqual(long);
    expect(room.changeLog.verify()).toMatchObject({ ok: true, rows: 3 });
  });

  it('is idempotent: of two who revoke, the second hears that it has ended', () => {
    const made = grant();
    const first = room.overrides.revoke(made.id, 'lesson over', TESS);
    room.clock.at += 10;
    const second = room.overrides.revoke(made.id, 'me too', { who: 'cora', role: 'coordinator' });
    expect([first.already, second.already]).toEqual([false, true]);
    expect(second.override).toMatchObject({ endedBy: 'tess', endReason: 'lesson over', endedAt: START });
    expect(whats()).toEqual(['override.granted', 'override.revoked']);
  });

  it('a revoke after its time finds that time ended it', () => {
    const made = grant();
    room.clock.at = START + HOUR;
    expect(room.overrides.revoke(made.id, 'too late', TESS)).toMatchObject({
      already: true,
      override: { endedWhy: 'time', endedBy: 'schoolgate' },
    });
  });

  it('a grant of the same name while the old one ends stands on its own', () => {
    grant();
    room.clock.at = START + HOUR;
    const next = grant({ until: START + 2 * HOUR });
    expect(room.overrides.expire()).toHaveLength(1);
    expect(room.overrides.current().map(({ id }) => id)).toEqual([next.id]);
  });

  it('needs a known id and a reason', () => {
    const made = grant();
    expect(refused(() => room.overrides.revoke('unknown', 'lesson over', TESS)).code).toBe('unknown');
    expect(refused(() => room.overrides.revoke(made.id, '', TESS)).field).toBe('reason');
    expect(room.overrides.get(made.id)?.endedAt).toBeNull();
  });

  it('names the next turn: a beginning as well as an end', () => {
    grant({ from: START + HOUR, until: START + 3 * HOUR });
    grant({ until: START + 2 * HOUR });
    const turns = [];
    for (let at = room.overrides.nextTurn(); at !== null; at = room.overrides.nextTurn()) {
      turns.push((at - START) / HOUR);
      room.clock.at = at;
      room.overrides.expire();
    }
    expect(turns).toEqual([1, 2, 3]);
  });
});

describe('reading', () => {
  it('pages, newest first, by state', () => {
    const made = Array.from({ length: 5 }, (_, i) => grant({ until: START + (i + 1) * HOUR }).id);
    const later = grant({ from: START + HOUR, until: START + 2 * HOUR }).id;
    room.overrides.revoke(made[4] ?? '', 'done with it', TESS);
    const ids = (state: 'scheduled' | 'in-force' | 'ended' | null): string[] => {
      const found: string[] = [];
      let cursor: string | null = null;
      do {
        const page = room.overrides.list({ state, limit: 2, cursor });
        found.push(...page.items.map(({ id }) => id));
        cursor = page.next;
      } while (cursor !== null);
      return found;
    };
    expect(ids(null)).toEqual([later, ...made.toReversed()]);
    expect(ids('scheduled')).toEqual([later]);
    expect(ids('in-force')).toEqual(made.slice(0, 4).toReversed());
    expect(ids('ended')).toEqual([made[4]]);
  });

  it('puts every step into the outbox, in order, with the change beside it', () => {
    const made = grant();
    room.overrides.revoke(made.id, 'lesson over', TESS);
    const rows = room.outbox.drain(10).map((row) => [row.kind, JSON.parse(row.payload)] as const);
    expect(rows.map(([kind]) => kind)).toEqual(['override', 'change', 'override', 'change']);
    expect(rows[0]?.[1]).toEqual(made);
    expect(rows[2]?.[1]).toMatchObject({ id: made.id, endedWhy: 'revoked' });
    expect(rows[3]?.[1]).toMatchObject({ what: 'override.revoked', seq: 2 });
  });
});

describe('against an oracle', () => {
  it('any order of grants, revokes, waiting and restarts agrees with a plain list', () => {
    type Step = { do: 'grant' | 'revoke' | 'wait' | 'sweep' | 'restart'; n: number };
    const steps = fc.array(
      fc.record<Step>({
        do: fc.constantFrom('grant', 'grant', 'revoke', 'wait', 'sweep', 'restart'),
        n: fc.integer({ min: 1, max: 6 }),
      }),
      { maxLength: 25 },
    );
    fc.assert(
      fc.property(steps, (run) => {
        const own = openChange();
        try {
          const plain: { id: string; from: number; until: number; revoked: boolean }[] = [];
          for (const step of run) {
            const at = own.clock.at;
            if (step.do === 'grant') {
              const from = at + (step.n % 3) * HOUR;
              const until = from + step.n * HOUR;
              plain.push({
                id: own.overrides.grant(wish({ from, until }), TESS).id,
                from,
                until,
                revoked: false,
              });
            } else if (step.do === 'revoke') {
              const one = plain[step.n % Math.max(1, plain.length)];
              if (!one) continue;
              const { already } = own.overrides.revoke(one.id, 'oracle', TESS);
              expect(already).toBe(one.revoked || one.until <= at);
              one.revoked ||= one.until > at;
            } else if (step.do === 'wait') own.clock.at += step.n * (HOUR / 2);
            else if (step.do === 'sweep') own.overrides.expire();
            else own.restart();
            const now = own.clock.at;
            const expected = plain.filter((one) => !one.revoked && one.from <= now && now < one.until);
            expect(own.overrides.inForce(now).map(({ id }) => id)).toEqual(expected.map(({ id }) => id));
          }
          expect(own.changeLog.verify().ok).toBe(true);
        } finally {
          own.close();
        }
      }),
      {
        numRuns: 40,
        examples: [
          [
            [
              { do: 'grant', n: 6 },
              { do: 'restart', n: 1 },
              { do: 'grant', n: 3 },
            ],
          ],
        ],
      },
    );
  });
});
