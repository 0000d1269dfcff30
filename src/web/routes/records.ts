// Local DNS records: list, add, remove; and forgetting cached answers. An answer of 200 or 201 means in force in every
// thread; 202 means written down and on its way.

import { Type } from 'typebox';
import type { Static } from 'typebox';
import { domainToASCII } from 'node:url';
import { canonicalName } from '../../blocklist/names.ts';
import type { RecordItem } from '../../change/records.ts';
import { MAX_TTL, RECORD_TYPES } from '../../resolver/local-record.ts';
import { principalOf } from '../authenticate.ts';
import type { WebApp, WebDeps } from '../deps.ts';
import { wrongField } from '../errors.ts';
import { DEFAULT_LIMIT, errors, paged, ReasonText, Strict } from '../schemas.ts';
import { formatMaybe } from '../times.ts';

const MaybeText = Type.Union([Type.String(), Type.Null()]);
const Types = Type.Enum([...RECORD_TYPES]);

const Shown = {
  id: MaybeText,
  name: Type.String(),
  type: Types,
  value: Type.String(),
  ttl: Type.Integer(),
  origin: Type.Enum(['file', 'hosts', 'api']),
  inForce: Type.Boolean(),
  reason: MaybeText,
  addedBy: MaybeText,
  addedAt: MaybeText,
};

const Item = Type.Object(Shown);
const Done = Type.Object({ ...Shown, note: Type.Optional(Type.String()) });
const Purged = Type.Object({ names: Type.Union([Type.Array(Type.String()), Type.Null()]) });
const Id = Strict({ id: Type.String({ pattern: '^[0-9a-z-]{1,80}$' }) });

const LATE =
  'This is written down and will be in force shortly: not every part of the gateway has taken it within a second.';

export const addRecordRoutes = (app: WebApp, deps: WebDeps): void => {
  const { localRecords, log } = deps;
  const show = (item: RecordItem): Static<typeof Item> => ({ ...item, addedAt: formatMaybe(item.addedAt) });
  /** What is written down is done even when a thread is slow to say so: that is a note, not an error. */
  const applied = async (): Promise<boolean> => {
    try {
      await deps.applyRecords();
      return true;
    } catch (error) {
      log.warn({ err: error }, 'a local record is not in force in every thread yet');
      return false;
    }
  };

  app.get(
    '/api/v1/records',
    {
      schema: {
        summary: 'Local DNS records, by name: those of the files and those that were added',
        querystring: Strict(paged),
        response: { 200: Type.Object({ items: Type.Array(Item), next: MaybeText }), ...errors },
      },
    },
    (request) => {
      const { limit, cursor } = request.query;
      const page = localRecords.list({ limit: limit ?? DEFAULT_LIMIT, cursor: cursor ?? null });
      return { items: page.items.map(show), next: page.next };
    },
  );

  app.post(
    '/api/v1/records',
    {
      schema: {
        summary: 'Add a local DNS record; what the files say of the same name and type comes first',
        body: Strict({
          name: Type.String({ minLength: 1, maxLength: 300 }),
          type: Types,
          value: Type.String({ minLength: 1, maxLength: 1000 }),
          ttl: Type.Optional(Type.Integer({ minimum: 0, maximum: MAX_TTL })),
          reason: ReasonText,
        }),
        response: { 201: Done, 202: Done, ...errors },
      },
    },
    async (request, reply) => {
      const { who, role } = principalOf(request);
      const item = localRecords.add(request.body, { who, role });
      if (await applied()) return reply.code(201).send(show(item));
      return reply.code(202).send({ ...show(item), note: LATE });
    },
  );

  app.delete(
    '/api/v1/records/:id',
    {
      schema: {
        summary: 'Remove a record that was added',
        params: Id,
        body: Strict({ reason: ReasonText }),
        response: { 200: Done, 202: Done, ...errors },
      },
    },
    async (request, reply) => {
      const { who, role } = principalOf(request);
      const item = localRecords.remove(request.params.id, request.body.reason, { who, role });
      if (await applied()) return reply.code(200).send(show(item));
      return reply.code(202).send({ ...show(item), note: LATE });
    },
  );

  app.post(
    '/api/v1/dns/purge',
    {
      schema: {
        summary: 'Forget cached DNS answers: of these names and all below them, or all of them',
        body: Strict({
          names: Type.Optional(
            Type.Array(Type.String({ minLength: 1, maxLength: 300 }), { minItems: 1, maxItems: 50 }),
          ),
        }),
        response: { 200: Purged, ...errors },
      },
    },
    async (request) => {
      const names =
        request.body.names?.map((text, at) => {
          const name = canonicalName(text.trim(), domainToASCII);
          if (name === null) throw wrongField(`names[${at}]`, 'Write a host name, such as bbc.co.uk.');
          return name;
        }) ?? null;
      await deps.purgeDns(names);
      log.info({ names, who: principalOf(request).who }, 'cached DNS answers were forgotten');
      return { names };
    },
  );
};
