import { describe, expect, it } from 'vitest';
import { createLimitedClients } from '../../src/workers/limited-clients.ts';

function rig() {
  const clock = { at: Date.UTC(2026, 8, 7, 9) };
  const said: Record<string, unknown>[] = [];
  const limited = createLimitedClients({
    now: () => clock.at,
    log: { warn: (fields) => void said.push(fields as Record<string, unknown>) },
  });
  return { clock, said, limited };
}

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

describe('the clients that met the rate limit', () => {
  it('are known for an hour, the worst first', () => {
    const { clock, limited } = rig();
    const start = clock.at;
    limited.take([{ client: '10.0.0.1', queries: 5 }]);
    clock.at += MINUTE;
    limited.take([
      { client: '10.0.0.1', queries: 1 },
      { client: '10.0.0.2', queries: 50 },
    ]);
    expect(limited.state()).toEqual({
      clients: 2,
      queries: 56,
      top: [
        { client: '10.0.0.2', queries: 50, since: clock.at, last: clock.at },
        { client: '10.0.0.1', queries: 6, since: start, last: clock.at },
      ],
    });
    clock.at += HOUR;
    expect(limited.state()).toEqual({ clients: 0, queries: 0, top: [] });
  });

  it('make one line a minute at most in the log, which leaves out none of their queries', () => {
    const { clock, said, limited } = rig();
    limited.take([]);
    expect(said).toEqual([]);
    limited.take([{ client: '10.0.0.1', queries: 5 }]);
    expect(said).toEqual([
      { event: 'rate-limited', client: '10.0.0.1', queries: 5, clients: 1, allQueries: 5 },
    ]);
    for (let second = 1; second <= 20; second++) {
      clock.at += 1000;
      limited.take([{ client: '10.0.0.1', queries: 2 }]);
    }
    limited.take([{ client: '10.0.0.2', queries: 100 }]);
    for (let second = 1; second < 40; second++) {
      clock.at += 1000;
      limited.take([]);
    }
    expect(said).toHaveLength(1);
    clock.at += 1000;
    limited.take([]);
    expect(said.slice(1)).toEqual([
      { event: 'rate-limited', client: '10.0.0.2', queries: 100, clients: 2, allQueries: 140 },
    ]);
    clock.at += HOUR;
    limited.take([]);
    expect(said).toHaveLength(2);
  });

  it('take bounded memory: the one that asked least gives way', () => {
    const { limited } = rig();
    for (let i = 0; i < 5000; i++)
      limited.take([{ client: `10.1.${i >> 8}.${i & 255}`, queries: i === 7 ? 1000 : 10 }]);
    const { clients, top } = limited.state();
    expect(clients).toBe(1024);
    expect(top).toHaveLength(20);
    expect(top[0]).toMatchObject({ client: '10.1.0.7', queries: 1000 });
  });

  it('are not forgotten, nor kept silent, when the clock is set back', () => {
    const { clock, said, limited } = rig();
    limited.take([{ client: '10.0.0.1', queries: 5 }]);
    clock.at -= 10 * MINUTE;
    limited.take([{ client: '10.0.0.1', queries: 5 }]);
    expect(limited.state().clients).toBe(1);
    expect(said).toHaveLength(2);
    clock.at -= 5 * HOUR;
    expect(limited.state().clients).toBe(0);
  });
});
