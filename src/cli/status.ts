// `schoolgate status`: whether the gateway runs and is well, and what it does. Exit code 1 when it is not well, for scripts and
// health checks.

import type { Command } from 'commander';
import { controlSocket, gatewayAnswers, withApi } from './api.ts';
import { print, readCommon, Refused, table, withCommon, type CommonOptions } from './options.ts';

type Health = { status: 'ok' | 'degraded'; checks: Record<string, { ok: boolean; detail: string }> };

type Thread = { thread: string; alive: boolean; restarts: number };
type Dns = {
  queriesPerSecond: number;
  blockedShare: number | null;
  cacheHitShare: number | null;
  failedShare: number | null;
  turnedAwayPerSecond: number;
  waiting: number;
};
type Proxy = { requestsPerSecond: number; blockedShare: number | null; connections: number };

type Figures = {
  seconds: number;
  dns: Dns & { threads: (Thread & Dns)[] };
  proxy: Proxy & { threads: (Thread & Proxy)[] };
  upstreams: {
    name: string;
    domain: string;
    up: boolean;
    trouble: { reason: string; at: string } | null;
    p50Ms: number | null;
    p95Ms: number | null;
    failures: number;
  }[];
  limited: {
    clients: number;
    queries: number;
    top: { client: string; queries: number; since: string; last: string }[];
  };
};

const rate = (value: number): string => (value >= 10 ? value.toFixed(0) : value.toFixed(1));
const percent = (share: number | null): string => (share === null ? '-' : `${(share * 100).toFixed(0)} %`);
const ms = (value: number | null): string =>
  value === null ? '-' : `${value.toFixed(value < 10 ? 1 : 0)} ms`;
const clock = (time: string): string => new Date(time).toLocaleTimeString('en-GB');

const why = (trouble: { reason: string; at: string } | null): string =>
  trouble === null ? '-' : `${trouble.reason} (${clock(trouble.at)})`;

const dnsRow = (name: string, of: Dns): string[] => [
  name,
  rate(of.queriesPerSecond),
  percent(of.blockedShare),
  percent(of.cacheHitShare),
  percent(of.failedShare),
  rate(of.turnedAwayPerSecond),
  String(of.waiting),
];

const proxyRow = (name: string, of: Proxy): string[] => [
  name,
  rate(of.requestsPerSecond),
  percent(of.blockedShare),
  String(of.connections),
];

function describe({ dns, proxy, upstreams, limited, seconds }: Figures): string {
  const parts = [
    `DNS, in the last ${seconds.toFixed(0)} s`,
    table([
      ['THREAD', 'QUERIES/S', 'BLOCKED', 'FROM CACHE', 'FAILED', 'TURNED AWAY/S', 'WAITING'],
      ...dns.threads.map((one) => dnsRow(one.thread, one)),
      ...(dns.threads.length > 1 ? [dnsRow('all', dns)] : []),
    ]),
    'Proxy',
    table([
      ['THREAD', 'REQUESTS/S', 'BLOCKED', 'CONNECTIONS'],
      ...proxy.threads.map((one) => proxyRow(one.thread, one)),
      ...(proxy.threads.length > 1 ? [proxyRow('all', proxy)] : []),
    ]),
  ];
  const anyDown = upstreams.some(({ up }) => !up);
  if (upstreams.length > 0)
    parts.push(
      'Upstreams',
      table([
        ['UPSTREAM', 'FOR', 'STATE', 'HALF WITHIN', '95 % WITHIN', 'FAILURES', ...(anyDown ? ['WHY'] : [])],
        ...upstreams.map((one) => [
          one.name,
          one.domain === '.' ? 'all' : one.domain,
          one.up ? 'up' : 'DOWN',
          ms(one.p50Ms),
          ms(one.p95Ms),
          String(one.failures),
          ...(one.up ? [] : [why(one.trouble)]),
        ]),
      ]),
    );
  if (limited.clients > 0)
    parts.push(
      `The rate limit met ${limited.clients} client${limited.clients === 1 ? '' : 's'} within the last hour`,
      table([
        ['CLIENT', 'TURNED AWAY', 'SINCE', 'LAST'],
        ...limited.top.map(({ client, queries, since, last }) => [
          client,
          String(queries),
          clock(since),
          clock(last),
        ]),
      ]),
    );
  return parts.join('\n');
}

export function addStatus(program: Command): void {
  withCommon(
    program
      .command('status')
      .alias('health')
      .description('whether the gateway runs and is well, and what it does'),
  ).action(async (options: CommonOptions) => {
    const common = readCommon(options);
    if (!(await gatewayAnswers(controlSocket(common.data))))
      throw new Refused(`no gateway runs with ${common.data}`);
    await withApi(common, async (api) => {
      const health = await api.get<Health>('/health');
      const figures = await api.get<Figures>('/status');
      print(options, { ...health, figures }, () =>
        [
          health.status,
          table(
            Object.entries(health.checks).map(([name, check]) => [
              check.ok ? 'ok' : 'NOT OK',
              name,
              check.detail,
            ]),
          ),
          describe(figures),
        ].join('\n'),
      );
      if (health.status !== 'ok') throw new Refused('the gateway is not well');
    });
  });
}
