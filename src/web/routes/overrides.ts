// Overrides: grant, read, revoke (O01, O04, O06). An answer of 200 or 201 means in force in every thread; 202 means written
// down and on its way.

import { Type } from 'typebox';
import type { Static } from 'typebox';
import { stateOf } from '../../change/overrides.ts';
import type { OverrideRecord } from '../../change/overrides.ts';
import { principalOf } from '../authenticate.ts';
import type { WebApp, WebDeps } from '../deps.ts';
import { ApiError } from '../errors.ts';
import {
  DEFAULT_LIMIT,
  errors,
  paged,
  ReasonText,
  readMaybe,
  readTime,
  Strict,
  TimeText,
} from '../schemas.ts';
import { formatMaybe, formatTime } from '../times.ts';

const MaybeText = Type.Union([Type.String(), Type.Null()]);
const Names = Type.Optional(Type.Array(Type.String({ minLength: 1, maxLength: 64 }), { maxItems: 50 }));
const States = Type.Enum(['scheduled', 'in-force', 'ended']);

const Shown = {
  id: Type.String(),
  site: Type.String(),
  state: States,
  names: Type.Array(Type.String()),
  scope: Type.Object({
    groups: Type.Array(Type.String()),
    classes: Type.Array(Type.String()),
    users: Type.Array(Type.String()),
  }),
  from: Type.String(),
  until: Type.String(),
  reason: Type.String(),
  requestedBy: Type.String(),
  decidedBy: Type.String(),
  grantedAt: Type.String(),
  review: Type.Boolean(),
  endedAt: MaybeText,
  endedWhy: MaybeText,
  endedBy: MaybeText,
  endReason: MaybeText,
};

const Item = Type.Object(Shown);
const Done = Type.Object({ ...Shown, note: Type.Optional(Type.String()) });
const Id = Strict({ id: Type.String({ pattern: '^[0-9a-z-]{1,80}$' }) });

const LATE =
  'This is written down and will be in force shortly: not every part of the gateway has taken it within a second.';

export const addOverrideRoutes = (app: WebApp, deps: WebDeps): void => {
  const { overrides, log } = deps;
  const show = (record: OverrideRecord): Static<typeof Item> => ({
    ...record,
    state: stateOf(record, deps.now()),
    names: [...record.names],
    scope: {
      groups: [...record.scope.groups],
      classes: [...record.scope.classes],
      users: [...record.scope.users],
    },
    from: formatTime(record.from),
    until: formatTime(record.until),
    grantedAt: formatTime(record.grantedAt),
    endedAt: formatMaybe(record.endedAt),
  });
  /** What is written down is done even when a thread is slow to say so: that is a note, not an error. */
  const applied = async (): Promise<boolean> => {
    try {
      await deps.applyOverrides();
      return true;
    } catch (error) {
      log.warn({ err: error }, 'an override is not in force in every thread yet');
      return false;
    }
  };

  app.post(
    '/api/v1/overrides',
    {
      schema: {
        summary: 'Unblock names for a time; marked for review',
        body: Strict({
          names: Type.Array(Type.String({ minLength: 1, maxLength: 300 }), { minItems: 1, maxItems: 50 }),
          scope: Strict({ groups: Names, classes: Names, users: Names }),
          from: Type.Optional(TimeText),
          until: TimeText,
          reason: ReasonText,
        }),
        response: { 201: Done, 202: Done, ...errors },
      },
    },
    async (request, reply) => {
      const { names, scope, reason } = request.body;
      const from = readMaybe('from', request.body.from);
      const until = readTime('until', request.body.until);
      const { who, role } = principalOf(request);
      const record = overrides.grant({ names, scope, from, until, reason }, { who, role });
      if (await applied()) return reply.code(201).send(show(record));
      return reply.code(202).send({ ...show(record), note: LATE });
    },
  );

  app.get(
    '/api/v1/overrides',
    {
      schema: {
        summary: 'Overrides, newest first',
        querystring: Strict({ state: Type.Optional(States), ...paged }),
        response: {
          200: Type.Object({ items: Type.Array(Item), next: MaybeText }),
          ...errors,
        },
      },
    },
    (request) => {
      const { state, limit, cursor } = request.query;
      const page = overrides.list({
        state: state ?? null,
        limit: limit ?? DEFAULT_LIMIT,
        cursor: cursor ?? null,
      });
      return { items: page.items.map(show), next: page.next };
    },
  );

  app.get(
    '/api/v1/overrides/:id',
    { schema: { summary: 'One override', params: Id, response: { 200: Item, ...errors } } },
    (request) => {
      const record = overrides.get(request.params.id);
      if (!record) throw new ApiError('not-found', { message: 'There is no override with this id.' });
      return show(record);
    },
  );

  app.post(
    '/api/v1/overrides/:id/revoke',
    {
      schema: {
        summary: 'End an override now',
        params: Id,
        body: Strict({ reason: ReasonText }),
        response: { 200: Done, 202: Done, ...errors },
      },
    },
    async (request, reply) => {
      const { who, role } = principalOf(request);
      const { override, already } = overrides.revoke(request.params.id, request.body.reason, { who, role });
      if (!(await applied())) return reply.code(202).send({ ...show(override), note: LATE });
      if (!already) return reply.code(200).send(show(override));
      return reply.code(200).send({ ...show(override), note: 'It had ended already; nothing was changed.' });
    },
  );
};
