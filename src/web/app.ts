// The web application, built without listening: plugins, the hooks every request passes, the routes. The gateway gives
// it sockets. Each capability has a file in routes/.

import cookie from '@fastify/cookie';
import helmet from '@fastify/helmet';
import swagger from '@fastify/swagger';
import { TypeBoxValidatorCompiler } from '@fastify/type-provider-typebox';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import { fastify } from 'fastify';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ACCESS, accessKey } from './access.ts';
import { authorise, identify } from './authenticate.ts';
import type { WebApp, WebDeps } from './deps.ts';
import { ApiError, ERRORS, errorBody, toApiError } from './errors.ts';
import { blockedHostPage, hostOf, isOwnHost, STYLE_HASH } from './host-guard.ts';
import { addAccountRoutes } from './routes/accounts.ts';
import { addAuditRoutes } from './routes/audit.ts';
import { addAuthRoutes } from './routes/auth.ts';
import { addBlocklistRoutes } from './routes/blocklists.ts';
import { addEventRoutes } from './routes/events.ts';
import { addExplainRoutes } from './routes/explain.ts';
import { addHealthRoutes } from './routes/health.ts';
import { addMetricsRoutes } from './routes/metrics.ts';
import { addOpenApiRoutes, openApiInfo } from './routes/openapi.ts';
import { addOverrideRoutes } from './routes/overrides.ts';
import { addRecordRoutes } from './routes/records.ts';
import { addSetupRoutes } from './routes/setup.ts';
import { addStatusRoutes } from './routes/status.ts';

const BODY_LIMIT = 64 * 1024;
const REQUEST_TIMEOUT_MS = 15_000;
const HANDLER_TIMEOUT_MS = 30_000;
/** A full disk is logged at most this often. */
const DISK_FULL_EVERY_MS = 10 * 60_000;

/** The app, ready for `inject`, `listen` or another server's requests (`app.routing`). Close it with `app.close()`. */
export const createApp = async (deps: WebDeps): Promise<WebApp> => {
  const sendError = createErrorSender(deps);
  const app: WebApp = fastify({
    // Request lines hold names of sites and the setup token: what must be logged is logged by hand.
    logger: false,
    bodyLimit: BODY_LIMIT,
    requestTimeout: REQUEST_TIMEOUT_MS,
    connectionTimeout: REQUEST_TIMEOUT_MS,
    handlerTimeout: HANDLER_TIMEOUT_MS,
    keepAliveTimeout: 10_000,
    forceCloseConnections: 'idle',
    routerOptions: { maxParamLength: 128 },
    onProtoPoisoning: 'error',
    onConstructorPoisoning: 'error',
    frameworkErrors: (error, request, reply) => {
      sendError(error, request, reply);
    },
    clientErrorHandler: (error, socket) => {
      const code =
        error.code === 'HPE_HEADER_OVERFLOW'
          ? 'headers-too-large'
          : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
            ? 'timeout'
            : 'invalid';
      if (!socket.writable) return;
      const body = JSON.stringify(errorBody(new ApiError(code)));
      const status = ERRORS[code][0];
      socket.end(
        `HTTP/1.1 ${status} Error\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
      );
    },
  }).withTypeProvider<TypeBoxTypeProvider>();
  // A browser posts text/plain across sites without asking first; JSON it does not.
  app.removeContentTypeParser('text/plain');
  app.setValidatorCompiler(TypeBoxValidatorCompiler);
  app.decorateRequest('principal', null);
  app.decorateRequest('sessionToken', null);
  app.setErrorHandler((error, request, reply) => {
    sendError(error, request, reply);
  });

  const paths = new Set<string>();
  app.addHook('onRoute', ({ method, url }) => {
    for (const one of [method].flat()) {
      // A route that the table does not know would be open or dead by accident: neither is built.
      if (!(accessKey(one, url) in ACCESS)) throw new Error(`${one} ${url} has no entry in web/access.ts`);
      paths.add(`${one} ${url}`);
    }
  });
  app.setNotFoundHandler((request, reply) => {
    const allowed = methodsOf(paths, request.url);
    if (allowed.length === 0) throw new ApiError('not-found');
    void reply.header('allow', allowed.join(', '));
    throw new ApiError('method-not-allowed');
  });

  await app.register(helmet, {
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        defaultSrc: ["'none'"],
        styleSrc: [STYLE_HASH],
        formAction: ["'self'"],
        frameAncestors: ["'none'"],
        baseUri: ["'none'"],
      },
    },
    // On plain http browsers ignore it; over TLS a school may still have other services on this name.
    strictTransportSecurity: false,
  });
  await app.register(cookie);
  await app.register(swagger, openApiInfo);

  app.addHook('onRequest', async (request, reply) => {
    void reply.header('cache-control', 'no-store');
    if (deps.principalOf(request) === null && !guardHost(request, reply, deps)) return reply;
    if (request.is404) return;
    identify(request, deps);
    authorise(request, deps);
  });

  addHealthRoutes(app, deps);
  addMetricsRoutes(app, deps);
  addStatusRoutes(app, deps);
  addAuthRoutes(app, deps);
  addExplainRoutes(app, deps);
  addEventRoutes(app, deps);
  addAuditRoutes(app, deps);
  addOverrideRoutes(app, deps);
  addRecordRoutes(app, deps);
  addBlocklistRoutes(app, deps);
  addAccountRoutes(app, deps);
  addOpenApiRoutes(app);
  await app.register(async (scope) => {
    addSetupRoutes(scope as WebApp, deps);
  });
  await app.ready();
  return app;
};

/** False when the request was for a name that is not ours, and has been answered. Throws ApiError `bad-host`. */
const guardHost = (request: FastifyRequest, reply: FastifyReply, deps: WebDeps): boolean => {
  const { ownHosts, language, school } = deps.settings;
  const own = isOwnHost(request.headers.host, ownHosts);
  if (own === null) throw new ApiError('bad-host');
  if (own) return true;
  const { accept } = request.headers;
  if (accept !== undefined && accept.includes('json') && !accept.includes('html')) {
    throw new ApiError('foreign-host');
  }
  const page = blockedHostPage(language, school, hostOf(request.headers.host) ?? '');
  void reply.code(403).type('text/html; charset=utf-8').send(page);
  return false;
};

/** Answers a request with what was thrown, and logs what is worth a line. */
const createErrorSender = ({ log, now }: Pick<WebDeps, 'log' | 'now'>) => {
  let diskFullSaid = -Infinity;

  const note = (error: unknown, known: ApiError | null, request: FastifyRequest): void => {
    // The pattern, not the address: a query can hold a site's name, the setup page's a secret.
    const where = { method: request.method, route: request.routeOptions?.url };
    if (known === null) log.error({ err: error, ...where }, 'a request failed');
    if (known?.code !== 'disk-full') return;
    const at = now();
    // Everyone who tries again would add a line to the full disk. A clock set back must not silence it.
    if (at >= diskFullSaid && at - diskFullSaid < DISK_FULL_EVERY_MS) return;
    diskFullSaid = at;
    const { code } = error as { code?: unknown };
    log.error(
      { event: 'disk-full', code, ...where },
      'the disk of the data directory is full: sign-ins and changes are refused, filtering goes on; free some space',
    );
  };

  return (error: unknown, request: FastifyRequest, reply: FastifyReply): void => {
    const known = toApiError(error);
    note(error, known, request);
    const answer = known ?? new ApiError('internal');
    if (answer.retryAfter !== undefined) void reply.header('retry-after', String(answer.retryAfter));
    if (answer.code === 'not-signed-in') void reply.header('www-authenticate', 'Bearer');
    void reply
      .code(ERRORS[answer.code][0])
      .type('application/json; charset=utf-8')
      .serializer((body: unknown) => JSON.stringify(body))
      .send(errorBody(answer));
  };
};

/** The methods that some route takes at this address. */
const methodsOf = (paths: ReadonlySet<string>, url: string): string[] => {
  const asked = (url.split('?', 1)[0] ?? '').split('/');
  return [...paths]
    .map((path) => path.split(' ', 2) as [string, string])
    .filter(([, pattern]) => {
      const parts = pattern.split('/');
      return (
        parts.length === asked.length &&
        parts.every((part, at) => (part.startsWith(':') ? asked[at] !== '' : part === asked[at]))
      );
    })
    .map(([method]) => method);
};
