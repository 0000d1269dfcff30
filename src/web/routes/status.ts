// GET /api/v1/status: what the gateway does, in figures, and who met the rate limit. For technicians: it names clients.

import { Type } from 'typebox';
import type { WebApp, WebDeps } from '../deps.ts';
import { errors } from '../schemas.ts';
import { formatTime } from '../times.ts';

const Share = Type.Union([Type.Number(), Type.Null()], { description: '0 to 1; null without any' });
const Count = Type.Integer({ minimum: 0 });
const Ms = Type.Union([Type.Number(), Type.Null()], {
  description: 'in the last minute; null without an answer',
});

const thread = { thread: Type.String(), alive: Type.Boolean(), restarts: Count };
const dns = {
  queriesPerSecond: Type.Number(),
  blockedShare: Share,
  cacheHitShare: Share,
  failedShare: Share,
  turnedAwayPerSecond: Type.Number(),
  waiting: Count,
  queries: Count,
};
const proxy = {
  requestsPerSecond: Type.Number(),
  blockedShare: Share,
  connections: Count,
  requests: Count,
};

const Status = Type.Object({
  running: Type.Boolean(),
  seconds: Type.Number({ description: 'how much of the last minute the rates cover' }),
  dns: Type.Object({ ...dns, threads: Type.Array(Type.Object({ ...thread, ...dns })) }),
  proxy: Type.Object({ ...proxy, threads: Type.Array(Type.Object({ ...thread, ...proxy })) }),
  upstreams: Type.Array(
    Type.Object({
      name: Type.String(),
      kind: Type.Enum(['udp', 'tls', 'https']),
      domain: Type.String({ description: 'whose names it is asked for; . stands for all others' }),
      up: Type.Boolean(),
      downIn: Type.Array(Type.String()),
      trouble: Type.Union([Type.Object({ reason: Type.String(), at: Type.String() }), Type.Null()], {
        description: 'why it failed last, and when; null when it never did',
      }),
      p50Ms: Ms,
      p95Ms: Ms,
      queries: Count,
      failures: Count,
      spoofed: Count,
    }),
  ),
  limited: Type.Object({
    clients: Count,
    queries: Count,
    top: Type.Array(
      Type.Object({ client: Type.String(), queries: Count, since: Type.String(), last: Type.String() }),
    ),
  }),
});

const NO_DNS = {
  queriesPerSecond: 0,
  blockedShare: null,
  cacheHitShare: null,
  failedShare: null,
  turnedAwayPerSecond: 0,
  waiting: 0,
  queries: 0,
  threads: [],
};
const NO_PROXY = { requestsPerSecond: 0, blockedShare: null, connections: 0, requests: 0, threads: [] };
const IDLE = {
  seconds: 0,
  dns: NO_DNS,
  proxy: NO_PROXY,
  upstreams: [],
  limited: { clients: 0, queries: 0, top: [] },
};

export const addStatusRoutes = (app: WebApp, deps: WebDeps): void => {
  app.get(
    '/api/v1/status',
    {
      schema: {
        summary: 'What the gateway did in the last minute, and who met the rate limit in the last hour',
        response: { 200: Status, ...errors },
      },
    },
    () => {
      const found = deps.figures();
      const { limited, dns, proxy, upstreams, seconds } = found ?? IDLE;
      return {
        running: found !== null,
        seconds,
        dns: { ...dns, threads: [...dns.threads] },
        proxy: { ...proxy, threads: [...proxy.threads] },
        upstreams: upstreams.map((one) => ({
          ...one,
          downIn: [...one.downIn],
          trouble: one.trouble === null ? null : { ...one.trouble, at: formatTime(one.trouble.at) },
        })),
        limited: {
          ...limited,
          top: limited.top.map((one) => ({
            ...one,
            since: formatTime(one.since),
            last: formatTime(one.last),
          })),
        },
      };
    },
  );
};
