// GET /health: whether the gateway is well, for anyone who may reach it. No personal data, no names of sites.

import { Type } from 'typebox';
import type { WebApp, WebDeps } from '../deps.ts';

const Health = Type.Object({
  status: Type.Enum(['ok', 'degraded']),
  checks: Type.Record(Type.String(), Type.Object({ ok: Type.Boolean(), detail: Type.String() })),
});

export const addHealthRoutes = (app: WebApp, deps: WebDeps): void => {
  for (const path of ['/health', '/api/v1/health']) {
    app.get(path, { schema: { summary: 'Whether the gateway is well', response: { 200: Health } } }, () => {
      const checks = deps.health();
      const well = Object.values(checks).every((check) => check.ok);
      return { status: well ? ('ok' as const) : ('degraded' as const), checks };
    });
  }
};
