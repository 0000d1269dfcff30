// GET /api/v1/openapi.json: the description of the API, made from the routes' own schemas.

import type { FastifyDynamicSwaggerOptions } from '@fastify/swagger';
import type { WebApp } from '../deps.ts';

export const openApiInfo: FastifyDynamicSwaggerOptions = {
  openapi: {
    openapi: '3.1.0',
    info: {
      title: 'Schoolgate',
      version: '1',
      description:
        'Times are RFC 3339 in UTC. Errors are { error: { code, message, details? } }. Sign in with POST /api/v1/login, then ' +
        'send the cookie (with x-csrf-token on every change) or the token as Authorization: Bearer.',
    },
    components: {
      securitySchemes: {
        session: { type: 'apiKey', in: 'cookie', name: 'schoolgate' },
        token: { type: 'http', scheme: 'bearer' },
      },
    },
    security: [{ session: [] }, { token: [] }],
  },
};

export const addOpenApiRoutes = (app: WebApp): void => {
  app.get('/api/v1/openapi.json', { schema: { hide: true } }, () => app.swagger());
};
