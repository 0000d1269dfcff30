// GET /metrics: Prometheus text, for the networks that the configuration names.

import type { WebApp, WebDeps } from '../deps.ts';

export const addMetricsRoutes = (app: WebApp, deps: WebDeps): void => {
  app.get('/metrics', { schema: { hide: true } }, async (_request, reply) => {
    const text = await deps.metrics();
    return reply.type('text/plain; version=0.0.4; charset=utf-8').send(text);
  });
};
