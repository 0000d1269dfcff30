// From a request to the person behind it, and whether they may do this: connection, token or cookie, CSRF, role.

import type { FastifyRequest } from 'fastify';
import { sameSecret } from '../people/sessions.ts';
import { ACCESS, accessKey, WITH_TEMPORARY_PASSWORD } from './access.ts';
import type { Principal, WebDeps } from './deps.ts';
import { ApiError } from './errors.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** set by the first hook; null when nobody is signed in */
    principal: Principal | null;
    /** the session token the request came with, for signing out */
    sessionToken: string | null;
  }
}

/** The cookie's name with and without TLS; `__Host-` binds it to this host and to https. */
export const cookieName = (encrypted: boolean): string => (encrypted ? '__Host-schoolgate' : 'schoolgate');

export const isEncrypted = (request: FastifyRequest): boolean =>
  'encrypted' in request.raw.socket && request.raw.socket.encrypted === true;

const isLoopback = (address: string | undefined): boolean =>
  address !== undefined && /^(127\.|::1$|::ffff:127\.)/.test(address);

/**
 * Secrets cross a network only encrypted. Throws ApiError `tls-required` for a request that would send one in the clear.
 */
export const requireSafeConnection = (request: FastifyRequest): void => {
  if (isEncrypted(request) || isLoopback(request.raw.socket.remoteAddress)) return;
  throw new ApiError('tls-required');
};

/**
 * Finds out who asks; fills `request.principal`. A credential that is no longer good counts as none.
 * Throws ApiError: tls-required, csrf.
 */
export const identify = (request: FastifyRequest, deps: WebDeps): void => {
  const trusted = deps.principalOf(request);
  if (trusted) {
    request.principal = { ...trusted, session: null };
    return;
  }
  const { authorization } = request.headers;
  const bearer = /^Bearer +([A-Za-z0-9_-]{20,100})$/i.exec(authorization ?? '')?.[1];
  const cookie = request.cookies[cookieName(isEncrypted(request))];
  // Whoever sends an Authorization header means it: a bad one does not fall back on the cookie.
  const token = authorization === undefined ? cookie : bearer;
  if (token === undefined) return;
  requireSafeConnection(request);
  const session = deps.sessions.find(token);
  if (!session) return;
  if (bearer === undefined && !/^(GET|HEAD|OPTIONS)$/.test(request.method)) {
    const given = request.headers['x-csrf-token'];
    const needed = ACCESS[routeKey(request)] !== 'anyone';
    if (needed && (typeof given !== 'string' || !sameSecret(given, session.csrfToken))) {
      throw new ApiError('csrf');
    }
  }
  request.principal = { who: session.account.username, role: session.account.role, session };
  request.sessionToken = token;
};

/** Throws ApiError unless the table allows this route to this person: not-signed-in, forbidden, must-change-password. */
export const authorise = (request: FastifyRequest, deps: WebDeps): void => {
  const key = routeKey(request);
  const access = ACCESS[key];
  if (access === 'anyone') return;
  const { principal } = request;
  if (access === 'networks') {
    // Someone at the machine itself may read them; for the rest the address decides.
    if (principal !== null && principal.session === null) return;
    const address = request.raw.socket.remoteAddress;
    if (address === undefined || !deps.settings.metricsAllowed(address)) throw new ApiError('forbidden');
    return;
  }
  if (access === undefined) throw new ApiError('forbidden');
  if (!principal) throw new ApiError('not-signed-in');
  if (principal.session?.account.mustChange && !WITH_TEMPORARY_PASSWORD.has(key)) {
    throw new ApiError('must-change-password');
  }
  if (access !== 'signed-in' && !access.includes(principal.role)) throw new ApiError('forbidden');
};

/** The person behind a request to a route that is not for anyone. */
export const principalOf = (request: FastifyRequest): Principal => {
  if (!request.principal) throw new ApiError('not-signed-in');
  return request.principal;
};

const routeKey = (request: FastifyRequest): string =>
  accessKey(request.method, request.routeOptions.url ?? '');
