// The imported lists: which there are, and which of them hold a name.

import { Type } from 'typebox';
import { domainToASCII } from 'node:url';
import { canonicalName } from '../../blocklist/names.ts';
import type { WebApp, WebDeps } from '../deps.ts';
import { wrongField } from '../errors.ts';
import { errors, Strict } from '../schemas.ts';

const List = Type.Object(
  { name: Type.String(), category: Type.String(), sealed: Type.Boolean(), entries: Type.Integer() },
  { additionalProperties: true },
);

export const addBlocklistRoutes = (app: WebApp, deps: WebDeps): void => {
  app.get(
    '/api/v1/blocklists',
    {
      schema: {
        summary: 'The lists in force',
        response: { 200: Type.Object({ items: Type.Array(List), next: Type.Null() }), ...errors },
      },
    },
    () => ({ items: [...deps.lists.all()], next: null }),
  );

  app.get(
    '/api/v1/blocklists/lookup',
    {
      schema: {
        summary: 'Which lists hold a name, and by which entry',
        querystring: Strict({ name: Type.String({ minLength: 1, maxLength: 300 }) }),
        response: {
          200: Type.Object({
            name: Type.String(),
            lists: Type.Array(
              Type.Object({
                list: Type.String(),
                category: Type.String(),
                sealed: Type.Boolean(),
                entry: Type.String(),
              }),
            ),
          }),
          ...errors,
        },
      },
    },
    (request) => {
      const name = canonicalName(request.query.name.trim(), domainToASCII);
      if (name === null) throw wrongField('name', 'Write a host name, such as bbc.co.uk.');
      const lists = deps.lists.lookup(name).map(({ list, name: entry }) => ({
        list: list.name,
        category: list.category,
        sealed: list.sealed,
        entry,
      }));
      return { name, lists };
    },
  );
};
