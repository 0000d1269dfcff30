// GET /audit/verify: whether the chained logs are as they were written (D06). The first wrong row is named.

import { Type } from 'typebox';
import type { WebApp, WebDeps } from '../deps.ts';
import { errors } from '../schemas.ts';

const Verified = Type.Object({
  ok: Type.Boolean(),
  logs: Type.Array(
    Type.Object({
      log: Type.String(),
      ok: Type.Boolean(),
      rows: Type.Union([Type.Integer(), Type.Null()], {
        description: 'rows found right; null when not counted',
      }),
      detail: Type.String(),
    }),
  ),
});

export const addAuditRoutes = (app: WebApp, deps: WebDeps): void => {
  app.get(
    '/api/v1/audit/verify',
    {
      schema: {
        summary: 'Whether the change log and the audit log are whole',
        response: { 200: Verified, ...errors },
      },
    },
    async () => {
      const { changes, blocks } = await deps.verify();
      const logs = [
        {
          log: 'changes',
          ok: changes.ok,
          rows: changes.rows,
          detail: changes.ok ? `head ${changes.head}` : changes.problem,
        },
        {
          log: 'audit',
          ok: blocks.ok,
          rows: blocks.ok ? blocks.rows : null,
          detail: blocks.ok ? `head ${blocks.head}` : blocks.detail,
        },
      ];
      return { ok: logs.every((log) => log.ok), logs };
    },
  );
};
