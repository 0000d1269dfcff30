// The page behind the one-time setup link: makes the first technician. Plain HTML, no script.

import type { FastifyRequest } from 'fastify';
import { AccountError } from '../../people/accounts.ts';
import { SetupClosed } from '../../people/setup.ts';
import { USERNAME_RULE } from '../../people/roles.ts';
import { requireSafeConnection } from '../authenticate.ts';
import type { WebApp, WebDeps } from '../deps.ts';
import { ApiError } from '../errors.ts';
import { escapeHtml, plainPage } from '../host-guard.ts';

type Form = { token: string; username: string; name: string; password: string };

const HTML = 'text/html; charset=utf-8';

export const addSetupRoutes = (app: WebApp, deps: WebDeps): void => {
  const { setup, settings, log } = deps;
  const { language } = settings;
  const closed = (): string =>
    plainPage(
      language,
      'This link is closed',
      '<p>The setup link is wrong, already used, or older than an hour.</p>' +
        '<p>If there is no technician account yet, restart the gateway: it writes a new link. Otherwise a technician makes more accounts.</p>',
    );

  // A form is taken here and nowhere else, so that no other page can post to the API.
  app.addContentTypeParser(
    'application/x-www-form-urlencoded',
    { parseAs: 'string', bodyLimit: 16 * 1024 },
    (_request, body, done) => {
      done(null, readForm(String(body)));
    },
  );

  app.get('/setup', { schema: { hide: true } }, (request, reply) => {
    requireSafeConnection(request);
    const token = tokenOf(request);
    void reply.type(HTML);
    if (!setup.check(token)) return reply.code(403).send(closed());
    return reply.send(formPage(language, { token, username: '', name: '', password: '' }, null));
  });

  app.post('/setup', { schema: { hide: true } }, async (request, reply) => {
    requireSafeConnection(request);
    const form = request.body;
    if (!isForm(form))
      throw new ApiError('unsupported-type', { message: 'Send the form of the setup page.' });
    void reply.type(HTML);
    try {
      const account = await setup.complete(form.token, form);
      log.info({ event: 'setup', username: account.username }, 'the first technician account was made');
      return reply.send(
        plainPage(
          language,
          'The gateway is yours',
          `<p>The account <strong>${escapeHtml(account.username)}</strong> is made. This link is now dead.</p>`,
        ),
      );
    } catch (error) {
      if (error instanceof SetupClosed) return reply.code(403).send(closed());
      if (error instanceof AccountError) return reply.code(400).send(formPage(language, form, error.message));
      throw error;
    }
  });
};

const tokenOf = (request: FastifyRequest): string => {
  const { token } = request.query as Record<string, unknown>;
  return typeof token === 'string' ? token.slice(0, 200) : '';
};

/** The fields of the form, cut to a length that no honest one exceeds; what is missing is empty. */
const readForm = (body: string): Form => {
  const fields = new URLSearchParams(body);
  const field = (name: string, max: number): string => (fields.get(name) ?? '').slice(0, max);
  return {
    token: field('token', 200),
    username: field('username', 200).trim(),
    name: field('name', 200),
    password: field('password', 1024),
  };
};

const isForm = (body: unknown): body is Form =>
  typeof body === 'object' &&
  body !== null &&
  ['token', 'username', 'name', 'password'].every((key) => key in body) &&
  Object.values(body).every((value) => typeof value === 'string');

/** The password is never sent back (P05). */
const formPage = (language: string, form: Form, problem: string | null): string =>
  plainPage(
    language,
    'Make the first technician account',
    (problem === null ? '' : `<p class="problem" role="alert">${escapeHtml(problem)}</p>`) +
      '<form method="post" action="/setup" autocomplete="off">' +
      `<input type="hidden" name="token" value="${escapeHtml(form.token)}">` +
      `<label for="username">Username</label><input id="username" name="username" required value="${escapeHtml(form.username)}">` +
      `<p>${escapeHtml(USERNAME_RULE)}.</p>` +
      `<label for="name">Your name</label><input id="name" name="name" required value="${escapeHtml(form.name)}">` +
      '<label for="password">Password</label><input id="password" name="password" type="password" required autocomplete="new-password">' +
      '<p>At least 8 characters, with three of these: capital letters, small letters, numbers, other characters.</p>' +
      '<button>Make the account</button></form>',
  );
