// How a command reaches the gateway: over the control socket of a running one, or, when the lock on the data directory is free,
// through the same API opened in this process. Either way the answer is the API's.

import { existsSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { Refused, WrongUsage, type CommonOptions } from './options.ts';

export type ApiAnswer = { status: number; body: unknown };
export type Api = {
  /** false when the command opened the files itself */
  readonly running: boolean;
  get<T>(path: string, query?: Record<string, string | undefined>): Promise<T>;
  post<T>(path: string, body: unknown): Promise<T>;
  delete<T>(path: string, body: unknown): Promise<T>;
  close(): Promise<void>;
};

type Method = 'GET' | 'POST' | 'DELETE';
type Send = (method: Method, path: string, body?: unknown) => Promise<ApiAnswer>;

export const controlSocket = (dataDir: string): string => join(dataDir, 'control.sock');

function sendOverSocket(socketPath: string): Send {
  return (method, path, body) =>
    new Promise((resolve, reject) => {
      const payload = body === undefined ? undefined : JSON.stringify(body);
      const call = process.getBuiltinModule('node:http').request(
        {
          socketPath,
          method,
          path,
          timeout: 30_000,
          headers: {
            host: 'localhost',
            'x-local-user': userInfo().username,
            ...(payload !== undefined && {
              'content-type': 'application/json',
              'content-length': Buffer.byteLength(payload),
            }),
          },
        },
        (answer) => {
          const chunks: Buffer[] = [];
          answer.on('data', (chunk: Buffer) => chunks.push(chunk));
          answer.on('error', reject);
          answer.on('end', () => {
            const text = Buffer.concat(chunks).toString();
            try {
              resolve({ status: answer.statusCode ?? 0, body: text === '' ? null : JSON.parse(text) });
            } catch {
              reject(
                new Refused(`the gateway answered ${answer.statusCode} with something that is not JSON`),
              );
            }
          });
        },
      );
      call.on('timeout', () => call.destroy(new Refused('the gateway did not answer within 30 s')));
      call.on('error', reject);
      call.end(payload);
    });
}

function describeError(answer: ApiAnswer): string {
  const error = (answer.body as { error?: { message?: string; details?: unknown } } | null)?.error;
  if (!error?.message) return `the gateway answered with status ${answer.status}`;
  return error.message;
}

function speak(send: Send, running: boolean, close: () => Promise<void>): Api {
  const call = async <T>(method: Method, path: string, body?: unknown): Promise<T> => {
    const answer = await send(method, `/api/v1${path}`, body);
    // A question that cannot be asked like that is the asker's slip; a change that is refused is the gateway's word.
    if (answer.status === 400 && method === 'GET') throw new WrongUsage(describeError(answer));
    if (answer.status >= 400) throw new Refused(describeError(answer));
    return answer.body as T;
  };
  return {
    running,
    get: (path, query = {}) => {
      const search = new URLSearchParams(
        Object.entries(query).filter((pair): pair is [string, string] => pair[1] !== undefined),
      );
      return call('GET', search.size > 0 ? `${path}?${search}` : path);
    },
    post: (path, body) => call('POST', path, body),
    delete: (path, body) => call('DELETE', path, body),
    close,
  };
}

/** Whether a gateway answers on the control socket; a socket file that a dead one left does not. */
export async function gatewayAnswers(socketPath: string): Promise<boolean> {
  if (!existsSync(socketPath)) return false;
  try {
    await sendOverSocket(socketPath)('GET', '/api/v1/health');
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EACCES')
      throw new Refused(`${socketPath} belongs to another user: run this as the gateway's user`);
    if (code === 'ECONNREFUSED' || code === 'ENOENT') return false;
    throw error;
  }
}

async function openApi(options: CommonOptions): Promise<Api> {
  const socketPath = controlSocket(options.data);
  if (await gatewayAnswers(socketPath)) return speak(sendOverSocket(socketPath), true, async () => {});
  const { openOffline } = await import('../gateway/open-offline.ts');
  const offline = await openOffline({ configFile: options.config, dataDir: options.data });
  return speak(offline.send, false, offline.close);
}

/** Opens the API for one command and closes it whatever happens. */
export async function withApi<T>(options: CommonOptions, use: (api: Api) => Promise<T>): Promise<T> {
  const api = await openApi(options);
  try {
    return await use(api);
  } finally {
    await api.close();
  }
}
