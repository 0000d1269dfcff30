import { describe, expect, it } from 'vitest';
import { createServers } from '../../src/resolver/servers.ts';
import type { Servers } from '../../src/resolver/servers.ts';

const way = { send: () => null, close: () => {} };
const three = (): Servers =>
  createServers(
    [1, 2, 3].map((n) => ({ address: `192.0.2.${n}`, port: 53 })),
    () => ({ way, tcp: null }),
    () => 0,
  );
const names = (list: readonly { name: string }[]): string =>
  list.map(({ name }) => name.replace(/^192\.0\.2\.|:53$/g, '')).join('');
const measured = (servers: Servers, times: number[]): void => {
  servers.all.forEach((server, i) => {
    for (let n = 0; n < 8; n++) server.latency.add(times[i] as number);
  });
  servers.compare();
};

describe('the order of upstreams', () => {
  it.each([
    ['as written', [20, 10, 5], '123'],
    ['as written when one is slower, but not clearly', [150, 40, 40], '123'],
    ['the clearly slow one later', [200, 40, 45], '231'],
    ['the clearly slow ones later, as written', [900, 800, 20], '312'],
    ['a slow last one stays last', [5, 10, 900], '123'],
  ])('%s', (_what, times, expected) => {
    const servers = three();
    measured(servers, times);
    expect(names(servers.order(0))).toBe(expected);
    expect(servers.usual()).toBe(expected === '123');
  });

  it('measures a slow one beside the others now and then, and puts it back when it is quick', () => {
    const servers = three();
    measured(servers, [900, 10, 10]);
    expect(names(servers.takeProbes(0, 1000))).toBe('1');
    expect(names(servers.takeProbes(0, 2000))).toBe('');
    expect(names(servers.takeProbes(0, 7000))).toBe('1');
    for (let n = 0; n < 40; n++) servers.all[0]?.latency.add(8);
    servers.compare();
    expect(names(servers.order(0))).toBe('123');
  });

  it('leaves one that fails three times in a row for last, longer each time, and tries it beside a good one', () => {
    const servers = three();
    const [first] = servers.all;
    for (let n = 0; n < 3; n++) servers.markFailed(first!, 1000, null);
    expect(names(servers.order(1000))).toBe('231');
    expect(servers.takeProbes(1000, 0)).toEqual([]);
    expect(servers.down(1000)).toBe(1);
    expect(names(servers.takeProbes(2001, 0))).toBe('1');
    servers.markFailed(first!, 2001, null);
    expect(servers.down(3999)).toBe(1);
    expect(servers.down(4002)).toBe(0);
    servers.markWell(first!);
    expect(names(servers.order(2002))).toBe('123');
    expect(servers.usual()).toBe(true);
  });

  it('asks all of them in turn when none is well', () => {
    const servers = three();
    for (const server of servers.all) for (let n = 0; n < 3; n++) servers.markFailed(server, 0, null);
    expect(names(servers.order(1))).toBe('123');
    expect(servers.takeProbes(5000, 0)).toEqual([]);
  });

  it('tells how each does', () => {
    const servers = three();
    measured(servers, [3, 3, 3]);
    servers.all[1]!.counts.spoofed = 2;
    expect(servers.states()[1]).toMatchObject({
      name: '192.0.2.2:53',
      kind: 'udp',
      up: true,
      spoofed: 2,
      latencyMs: 3,
    });
    expect(servers.states()[1]?.latency).toEqual([0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    expect(servers.states()[1]?.latencySumMs).toBe(24);
  });

  it('calls one that has never answered down at its first failure, and keeps why a server failed last', () => {
    const servers = three();
    const [first, second] = servers.all;
    second!.counts.answers = 1;
    const refused = Object.assign(new Error('connect'), { code: 'ECONNREFUSED' });
    for (const server of [first!, second!]) servers.markFailed(server, 1000, refused);
    expect(servers.states().map(({ up }) => up)).toEqual([false, true, true]);
    const trouble = {
      reason: 'it refuses the connection: nothing listens at this address and port',
      at: 1000,
    };
    expect(servers.states().map((state) => state.trouble)).toEqual([trouble, trouble, null]);
    servers.markFailed(first!, 1001, null);
    servers.markWell(first!);
    expect(servers.states()[0]).toMatchObject({ up: true, trouble });
  });

  it('calls a server down until it has answered again, also while it is to be tried again', () => {
    const servers = three();
    const dead = servers.all[1]!;
    dead.counts.answers = 1;
    const isUp = () => servers.states()[1]!.up;
    for (let n = 0; n < 3; n++) {
      expect(isUp()).toBe(true);
      servers.markFailed(dead, 0, null);
    }
    expect(isUp()).toBe(false);
    expect(servers.takeProbes(60_000, 0)).toEqual([dead]);
    expect(isUp()).toBe(false);
    servers.markWell(dead);
    expect(isUp()).toBe(true);
  });
});
