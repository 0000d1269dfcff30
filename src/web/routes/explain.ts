// GET /explain: what the filter would say to this person about this address at this time, and which step says so (F16).

import { Type } from 'typebox';
import type { ExplainWho, WebApp, WebDeps } from '../deps.ts';
import { wrongField } from '../errors.ts';
import { readTarget } from '../explain-target.ts';
import { errors, readMaybe, Strict, TimeText } from '../schemas.ts';
import { formatMaybe, formatTime } from '../times.ts';

const MaybeText = Type.Union([Type.String(), Type.Null()]);
const Name = Type.String({ minLength: 1, maxLength: 64 });

const Answer = Type.Object({
  host: Type.String(),
  at: Type.String(),
  verdict: Type.Object({
    action: Type.String(),
    reason: Type.String(),
    category: MaybeText,
    rating: MaybeText,
    rule: Type.String(),
    list: MaybeText,
    group: Type.String(),
    overrideId: MaybeText,
    target: MaybeText,
    until: MaybeText,
  }),
  dns: Type.Array(Type.String(), { description: 'what DNS does with the name before the policy' }),
  trace: Type.Array(
    Type.Object({
      step: Type.Integer(),
      title: Type.String(),
      outcome: Type.Enum(['passed', 'decided']),
      detail: Type.String(),
    }),
  ),
});

export const addExplainRoutes = (app: WebApp, deps: WebDeps): void => {
  app.get(
    '/api/v1/explain',
    {
      schema: {
        summary: 'The verdict on an address, and the numbered steps that led to it',
        querystring: Strict({
          url: Type.String({ minLength: 1, maxLength: 2048, description: 'a URL, a host, or host:port' }),
          group: Type.Optional(Name),
          class: Type.Optional(Name),
          user: Type.Optional(Name),
          client: Type.Optional(
            Type.String({
              minLength: 1,
              maxLength: 120,
              description: 'an IP address, id: and a client id, or a device of the policy; alone',
            }),
          ),
          at: Type.Optional(TimeText),
        }),
        response: { 200: Answer, ...errors },
      },
    },
    async (request) => {
      const { url, at: atText, ...who } = request.query;
      const target = readTarget(url);
      if (!target)
        throw wrongField('url', 'Write an http or https URL, a host such as bbc.co.uk, or host:port.');
      checkWho(who);
      const at = readMaybe('at', atText) ?? deps.now();
      const explained = await deps.explain(target, who, at);
      if (!explained) {
        const field = (['client', 'class', 'group'] as const).find((one) => who[one] !== undefined) ?? 'user';
        throw wrongField(field, `The policy has no ${field} of this name.`);
      }
      const { verdict, dns, trace } = explained;
      return {
        host: target.host,
        at: formatTime(at),
        verdict: { ...verdict, until: formatMaybe(verdict.until) },
        dns: [...dns],
        trace: [...trace],
      };
    },
  );
};

const checkWho = ({ group, class: className, user, client }: ExplainWho): void => {
  const named = [group, className, user].some((name) => name !== undefined);
  if (client === undefined && !named)
    throw wrongField('group', 'Say for whom: group, class, user or client.');
  if (client !== undefined && named)
    throw wrongField('client', 'An address has its own group: leave out group, class and user.');
};
