// GET /events: the audit log, filtered and paged. The search itself runs elsewhere, on a connection that only reads.

import { Type } from 'typebox';
import type { WebApp, WebDeps } from '../deps.ts';
import { wrongField } from '../errors.ts';
import { DEFAULT_LIMIT, errors, paged, readMaybe, Strict, TimeText } from '../schemas.ts';
import { formatTime } from '../times.ts';

const Text = Type.Optional(Type.String({ minLength: 1, maxLength: 253 }));

const Page = Type.Object({
  items: Type.Array(Type.Object({ at: Type.String() }, { additionalProperties: true })),
  next: Type.Union([Type.String(), Type.Null()]),
});

export const addEventRoutes = (app: WebApp, deps: WebDeps): void => {
  app.get(
    '/api/v1/events',
    {
      schema: {
        summary: 'What was asked for, by whom, and what the filter said; newest first',
        querystring: Strict({
          from: Type.Optional(TimeText),
          to: Type.Optional(TimeText),
          user: Text,
          group: Text,
          class: Text,
          client: Text,
          host: Text,
          category: Text,
          verdict: Type.Optional(Type.Enum(['block', 'allow', 'rewrite', 'portal', 'error'])),
          channel: Type.Optional(Type.Enum(['dns', 'http', 'connect', 'tls', 'web'])),
          ...paged,
        }),
        response: { 200: Page, ...errors },
      },
    },
    async (request) => {
      const { from: fromText, to: toText, limit, ...rest } = request.query;
      const from = readMaybe('from', fromText);
      const to = readMaybe('to', toText);
      if (from !== undefined && to !== undefined && to <= from)
        throw wrongField('to', 'This must be after from.');
      const found = await deps.events.search({ ...rest, from, to, limit: limit ?? DEFAULT_LIMIT });
      return { items: found.items.map((item) => ({ ...item, at: formatTime(item.at) })), next: found.next };
    },
  );
};
