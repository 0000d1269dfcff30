// A person at the API of a test gateway: signs in, keeps the cookie and the CSRF token, asks in JSON.

import type { TestGateway } from './gateway.ts';
import { fetchFrom } from './web-client.ts';

export type ApiReply = { status: number; body: any };

export type Person = {
  readonly csrf: string;
  readonly cookie: string;
  get(path: string): Promise<ApiReply>;
  post(path: string, body?: unknown, headers?: Record<string, string>): Promise<ApiReply>;
};

export const PASSWORD = 'Correct-horse-7';

const parse = (body: string): unknown => (body === '' ? null : JSON.parse(body));

export async function call(
  gateway: TestGateway,
  method: string,
  path: string,
  options: { body?: unknown; headers?: Record<string, string> } = {},
): Promise<ApiReply & { setCookie: string }> {
  const answer = await fetchFrom(`http://127.0.0.1:${gateway.web}/api/v1${path}`, {
    method,
    headers: options.headers,
    body: options.body === undefined ? undefined : JSON.stringify(options.body),
  });
  const setCookie = (answer.headers['set-cookie'] ?? []).join('; ').split(';')[0] ?? '';
  return { status: answer.status, body: parse(answer.body), setCookie };
}

/** Makes an account by the command line, as a technician at the machine does. */
export async function addAccount(gateway: TestGateway, username: string, role: string): Promise<void> {
  const args = [
    'accounts',
    'add',
    '--username',
    username,
    '--role',
    role,
    '--name',
    `A ${role}`,
    '--password-stdin',
  ];
  const made = await gateway.cli(args, `${PASSWORD}\n`);
  if (made.code !== 0) throw new Error(made.stderr);
}

export async function signIn(gateway: TestGateway, username: string, password = PASSWORD): Promise<Person> {
  const answer = await call(gateway, 'POST', '/login', { body: { username, password } });
  if (answer.status !== 200)
    throw new Error(`sign-in of ${username}: ${answer.status} ${JSON.stringify(answer.body)}`);
  const cookie = answer.setCookie;
  const csrf = answer.body.csrfToken as string;
  return {
    csrf,
    cookie,
    get: (path) => call(gateway, 'GET', path, { headers: { cookie } }),
    post: (path, body = {}, headers = { 'x-csrf-token': csrf }) =>
      call(gateway, 'POST', path, { body, headers: { cookie, ...headers } }),
  };
}

/** Polls until `check` gives something; fails at the deadline with the last thing seen. */
export async function eventually<T>(
  check: () => Promise<T | null | undefined | false>,
  withinMs = 5_000,
): Promise<T> {
  const until = performance.now() + withinMs;
  for (;;) {
    const found = await check();
    if (found) return found;
    if (performance.now() > until) throw new Error(`it did not come about within ${withinMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

/** Rows of the audit log that match, once there are any. */
export function events(person: Person, query: string, least = 1): Promise<any[]> {
  return eventually(async () => {
    const page = await person.get(`/events?${query}`);
    return page.status === 200 && page.body.items.length >= least ? (page.body.items as any[]) : null;
  });
}
