// Accounts, for technicians: make, list, give a new password, disable, enable, unlock. Hashes are never part of it.

import { Type } from 'typebox';
import type { Static } from 'typebox';
import type { Account } from '../../people/accounts.ts';
import { ROLES } from '../../people/roles.ts';
import { principalOf } from '../authenticate.ts';
import type { WebApp, WebDeps } from '../deps.ts';
import { wrongField } from '../errors.ts';
import { DEFAULT_LIMIT, errors, paged, Strict, Username } from '../schemas.ts';
import { formatMaybe, formatTime } from '../times.ts';

const MaybeText = Type.Union([Type.String(), Type.Null()]);

const Shown = Type.Object({
  username: Type.String(),
  name: Type.String(),
  role: Type.String(),
  mustChangePassword: Type.Boolean(),
  createdAt: Type.String(),
  createdBy: Type.String(),
  passwordAt: Type.String(),
  disabledAt: MaybeText,
  lockedUntil: MaybeText,
});

const Named = Strict({ username: Username });
const Password = Type.String({ minLength: 1, maxLength: 1024 });
const Reason = Type.String({ maxLength: 500 });

export const addAccountRoutes = (app: WebApp, deps: WebDeps): void => {
  const { accounts, sessions } = deps;
  const show = (account: Account): Static<typeof Shown> => ({
    username: account.username,
    name: account.name,
    role: account.role,
    mustChangePassword: account.mustChange,
    createdAt: formatTime(account.createdAt),
    createdBy: account.createdBy,
    passwordAt: formatTime(account.passwordAt),
    disabledAt: formatMaybe(account.disabledAt),
    // A lock that is over is no lock.
    lockedUntil:
      account.lockedUntil !== null && account.lockedUntil > deps.now()
        ? formatTime(account.lockedUntil)
        : null,
  });

  app.get(
    '/api/v1/accounts',
    {
      schema: {
        summary: 'Accounts by username',
        querystring: Strict(paged),
        response: { 200: Type.Object({ items: Type.Array(Shown), next: MaybeText }), ...errors },
      },
    },
    (request) => {
      const limit = request.query.limit ?? DEFAULT_LIMIT;
      const found = accounts.list(limit + 1, request.query.cursor ?? null);
      const items = found.slice(0, limit);
      return { items: items.map(show), next: found.length > limit ? (items.at(-1)?.username ?? null) : null };
    },
  );

  app.post(
    '/api/v1/accounts',
    {
      schema: {
        summary: 'Make an account',
        body: Strict({
          username: Username,
          name: Type.String({ maxLength: 200 }),
          role: Type.Enum([...ROLES]),
          password: Password,
          temporary: Type.Optional(Type.Boolean({ description: 'must be changed at the first sign-in' })),
        }),
        response: { 201: Shown, ...errors },
      },
    },
    async (request, reply) => {
      const { temporary, ...account } = request.body;
      const { who, role } = principalOf(request);
      const made = await accounts.create({ ...account, temporary: temporary ?? false }, { who, role });
      return reply.code(201).send(show(made));
    },
  );

  app.post(
    '/api/v1/accounts/:username/password',
    {
      schema: {
        summary: 'Give a new password; temporary unless said otherwise. Ends a lock and every session',
        params: Named,
        body: Strict({ password: Password, temporary: Type.Optional(Type.Boolean()), reason: Reason }),
        response: { 200: Shown, ...errors },
      },
    },
    async (request) => {
      const { password, temporary, reason } = request.body;
      const { who, role } = principalOf(request);
      const account = await accounts.setPassword(
        request.params.username,
        password,
        { temporary: temporary ?? true, reason: checkReason(reason) },
        { who, role },
      );
      sessions.endAll(account.id);
      return show(account);
    },
  );

  for (const action of ['disable', 'enable', 'unlock'] as const) {
    app.post(
      `/api/v1/accounts/:username/${action}`,
      {
        schema: {
          summary: `${action.charAt(0).toUpperCase()}${action.slice(1)} an account`,
          params: Named,
          body: Strict({ reason: Reason }),
          response: { 200: Shown, ...errors },
        },
      },
      (request) => {
        const { who, role } = principalOf(request);
        const reason = checkReason(request.body.reason);
        const account = accounts[action](request.params.username, reason, { who, role });
        if (action === 'disable') sessions.endAll(account.id);
        return show(account);
      },
    );
  }
};

const checkReason = (reason: string): string => {
  const said = reason.normalize('NFC').trim();
  if (said.length < 3) throw wrongField('reason', 'Say why, in 3 to 500 characters.');
  return said;
};
