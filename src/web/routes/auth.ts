// Signing in and out, who am I, and changing one's own password. A password is never sent back or logged (P05).

import { Type } from 'typebox';
import type { Static } from 'typebox';
import { cookieName, isEncrypted, principalOf, requireSafeConnection } from '../authenticate.ts';
import type { Principal, WebApp, WebDeps } from '../deps.ts';
import { ApiError } from '../errors.ts';
import { errors, Strict } from '../schemas.ts';
import { createSignInLimit, DEFAULT_SIGN_IN_LIMITS } from '../sign-in-limit.ts';

/** Long enough for what passwords.ts takes; that file says what is too long in words. */
const PasswordText = Type.String({ minLength: 1, maxLength: 1024 });

const Me = Type.Object({
  username: Type.String(),
  name: Type.String(),
  role: Type.String(),
  mustChangePassword: Type.Boolean(),
  csrfToken: Type.Union([Type.String(), Type.Null()]),
});

const SignedIn = Type.Object({ ...Me.properties, token: Type.String() });

export const addAuthRoutes = (app: WebApp, deps: WebDeps): void => {
  const { accounts, sessions, now, log } = deps;
  const limit = createSignInLimit(deps.settings.signInLimits ?? DEFAULT_SIGN_IN_LIMITS);

  /** Checks a password against the limits and the account. Throws ApiError. */
  const check = async (address: string, username: string, password: string) => {
    const wait = limit(address, username, now());
    if (wait > 0) {
      log.warn({ event: 'sign-in-limited', address }, 'too many sign-ins: one was turned away');
      throw new ApiError('rate-limited', { retryAfter: wait });
    }
    const result = await accounts.signIn(username, password);
    if (result.ok) return result.account;
    // What was typed as a username can be a password typed in the wrong field: known names only.
    const known = accounts.find(username)?.username ?? null;
    log.warn({ event: 'sign-in-failed', why: result.why, username: known, address }, 'a sign-in failed');
    if (result.why === 'wrong') throw new ApiError('wrong-password');
    const seconds = Math.max(1, Math.ceil((result.until - now()) / 1000));
    throw new ApiError('locked', {
      message: `This account is locked after too many wrong passwords. Try again in ${inWords(seconds)}, or ask a technician.`,
      retryAfter: seconds,
    });
  };

  app.post(
    '/api/v1/login',
    {
      schema: {
        summary: 'Sign in',
        body: Strict({ username: Type.String({ minLength: 1, maxLength: 256 }), password: PasswordText }),
        response: { 200: SignedIn, ...errors },
      },
    },
    async (request, reply) => {
      requireSafeConnection(request);
      const { username, password } = request.body;
      const account = await check(request.ip, username, password);
      if (request.sessionToken !== null) sessions.end(request.sessionToken);
      const { token, session } = sessions.start(account);
      log.info({ event: 'sign-in', username: account.username, address: request.ip }, 'signed in');
      const secure = isEncrypted(request);
      void reply.setCookie(cookieName(secure), token, {
        path: '/',
        httpOnly: true,
        sameSite: 'strict',
        secure,
      });
      return { ...describe({ who: account.username, role: account.role, session }), token };
    },
  );

  app.post(
    '/api/v1/logout',
    { schema: { summary: 'Sign out', response: { 204: Type.Null(), ...errors } } },
    async (request, reply) => {
      if (request.sessionToken !== null) sessions.end(request.sessionToken);
      const secure = isEncrypted(request);
      void reply.clearCookie(cookieName(secure), { path: '/', httpOnly: true, sameSite: 'strict', secure });
      return reply.code(204).send(null);
    },
  );

  app.get(
    '/api/v1/me',
    { schema: { summary: 'Who is signed in', response: { 200: Me, ...errors } } },
    (request) => describe(principalOf(request)),
  );

  app.post(
    '/api/v1/me/password',
    {
      schema: {
        summary: 'Change your own password; every other session of yours ends',
        body: Strict({ current: PasswordText, new: PasswordText }),
        response: { 204: Type.Null(), ...errors },
      },
    },
    async (request, reply) => {
      const { session, who, role } = principalOf(request);
      if (!session)
        throw new ApiError('forbidden', { message: 'Only someone who is signed in has a password.' });
      const account = await check(request.ip, who, request.body.current);
      await accounts.setPassword(
        who,
        request.body.new,
        { temporary: false, reason: 'changed by its owner' },
        { who, role },
      );
      sessions.endAll(account.id, session.id);
      return reply.code(204).send(null);
    },
  );
};

const describe = ({ who, role, session }: Principal): Static<typeof Me> => ({
  username: who,
  name: session?.account.name ?? who,
  role,
  mustChangePassword: session?.account.mustChange ?? false,
  csrfToken: session?.csrfToken ?? null,
});

const inWords = (seconds: number): string => {
  const minutes = Math.ceil(seconds / 60);
  return minutes === 1 ? '1 minute' : `${minutes} minutes`;
};
