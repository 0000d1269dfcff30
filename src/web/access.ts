// Who may use which route: the one table (D04, O04). A route that is not here is refused when the app is built.

import type { Role } from '../people/roles.ts';

/** `anyone`: no sign-in; `networks`: by address, as configured; `signed-in`: every role; else the roles named. */
export type Access = 'anyone' | 'networks' | 'signed-in' | readonly Role[];

const TECHNICIAN: readonly Role[] = ['technician'];
const OVERSEERS: readonly Role[] = ['technician', 'coordinator', 'headteacher'];
const STAFF: readonly Role[] = ['staff', 'technician', 'coordinator', 'headteacher'];

/** `METHOD path` as the route declares it; HEAD goes with GET. */
export const ACCESS: Readonly<Record<string, Access>> = {
  'GET /health': 'anyone',
  'GET /metrics': 'networks',
  'GET /setup': 'anyone',
  'POST /setup': 'anyone',
  'GET /api/v1/health': 'anyone',
  'GET /api/v1/openapi.json': 'anyone',
  'POST /api/v1/login': 'anyone',
  'POST /api/v1/logout': 'signed-in',
  'GET /api/v1/me': 'signed-in',
  'POST /api/v1/me/password': 'signed-in',
  'GET /api/v1/explain': STAFF,
  'GET /api/v1/events': OVERSEERS,
  'GET /api/v1/audit/verify': OVERSEERS,
  'GET /api/v1/overrides': OVERSEERS,
  'GET /api/v1/overrides/:id': OVERSEERS,
  'POST /api/v1/overrides': TECHNICIAN,
  'POST /api/v1/overrides/:id/revoke': TECHNICIAN,
  'GET /api/v1/records': OVERSEERS,
  'POST /api/v1/records': TECHNICIAN,
  'DELETE /api/v1/records/:id': TECHNICIAN,
  'POST /api/v1/dns/purge': TECHNICIAN,
  'GET /api/v1/status': TECHNICIAN,
  'GET /api/v1/blocklists': TECHNICIAN,
  'GET /api/v1/blocklists/lookup': TECHNICIAN,
  'GET /api/v1/accounts': TECHNICIAN,
  'POST /api/v1/accounts': TECHNICIAN,
  'POST /api/v1/accounts/:username/password': TECHNICIAN,
  'POST /api/v1/accounts/:username/disable': TECHNICIAN,
  'POST /api/v1/accounts/:username/enable': TECHNICIAN,
  'POST /api/v1/accounts/:username/unlock': TECHNICIAN,
};

/** What someone with a temporary password may still do (P04). */
export const WITH_TEMPORARY_PASSWORD: ReadonlySet<string> = new Set([
  'GET /api/v1/me',
  'POST /api/v1/me/password',
  'POST /api/v1/logout',
]);

/** The key of a route in ACCESS. */
export const accessKey = (method: string, path: string): string =>
  `${method === 'HEAD' ? 'GET' : method} ${path}`;
