// The routes of local records and of forgetting DNS answers.

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { addEveryRole, openGateway } from './fixture.ts';
import type { Gateway } from './fixture.ts';

type Answer = Awaited<ReturnType<Gateway['app']['inject']>>;
let gateway: Gateway;
let everyone: Awaited<ReturnType<typeof addEveryRole>>;
beforeEach(async () => {
  gateway = await openGateway();
  everyone = await addEveryRole(gateway);
});
afterEach(async () => {
  await gateway.close();
});

const send = (
  method: 'GET' | 'POST' | 'DELETE',
  url: string,
  payload?: object,
  headers: Record<string, string> = everyone.technician,
): Promise<Answer> =>
  gateway.app.inject({ method, url: `/api/v1${url}`, headers, ...(payload && { payload }) });
const problem = (answer: Answer): [number, string, string | undefined] => {
  const { error } = answer.json();
  return [answer.statusCode, error.code, error.details?.[0]?.field];
};
const wish = (parts: object = {}): object => ({
  name: 'printer.inside.example',
  type: 'A',
  value: '10.0.0.9',
  reason: 'a new printer',
  ...parts,
});

describe('local records', () => {
  it('O06: add, list, remove; in force in every thread before it answers', async () => {
    const added = await send('POST', '/records', wish({ ttl: 30 }));
    expect(added.statusCode).toBe(201);
    expect(added.json()).toMatchObject({ origin: 'api', inForce: true, ttl: 30, addedBy: 'technician' });
    expect(gateway.applied.count).toBe(1);
    const { id } = added.json();
    gateway.localRecords.takeFiles([
      { name: 'nas.inside.example', type: 'A', value: '10.0.0.2', ttl: 60, origin: 'hosts' },
    ]);
    expect((await send('GET', '/records')).json()).toMatchObject({
      items: [
        { name: 'nas.inside.example', id: null, origin: 'hosts', addedAt: null },
        { id, addedAt: '2026-09-07T09:00:00.000Z' },
      ],
      next: null,
    });
    const page = (await send('GET', '/records?limit=1')).json();
    expect(
      (await send('GET', `/records?limit=1&cursor=${encodeURIComponent(page.next)}`)).json(),
    ).toMatchObject({
      items: [{ id }],
    });
    const removed = await send('DELETE', `/records/${id}`, { reason: 'it was sold' });
    expect(removed.statusCode).toBe(200);
    expect(removed.json()).toMatchObject({ id, inForce: false });
    expect(gateway.applied.count).toBe(2);
    expect(problem(await send('DELETE', `/records/${id}`, { reason: 'once more' }))).toEqual([
      404,
      'not-found',
      'id',
    ]);
  });

  it('says 202 when a thread is slow: written down and on its way', async () => {
    gateway.applied.fails = true;
    const added = await send('POST', '/records', wish());
    expect(added.statusCode).toBe(202);
    expect(added.json().note).toContain('shortly');
    const removed = await send('DELETE', `/records/${added.json().id}`, { reason: 'it was sold' });
    expect(removed.statusCode).toBe(202);
  });

  it('of two people who add the same at once, one is told so', async () => {
    const answers = await Promise.all([1, 2, 3, 4].map(() => send('POST', '/records', wish())));
    expect(answers.map(({ statusCode }) => statusCode).sort()).toEqual([201, 409, 409, 409]);
    expect((await send('GET', '/records')).json().items).toHaveLength(1);
    const { id } = (await send('GET', '/records')).json().items[0];
    const gone = await Promise.all(
      [1, 2].map(() => send('DELETE', `/records/${id}`, { reason: 'it was sold' })),
    );
    expect(gone.map(({ statusCode }) => statusCode).sort()).toEqual([200, 404]);
  });

  it.each([
    [{ type: 'NS' }, [400, 'invalid', 'type']],
    [{ type: 'a' }, [400, 'invalid', 'type']],
    [{ value: 'x'.repeat(1001) }, [400, 'invalid', 'value']],
    [{ value: 'x' }, [400, 'invalid', 'value']],
    [{ name: 'http://x.example/' }, [400, 'invalid', 'name']],
    [{ ttl: '60' }, [400, 'invalid', 'ttl']],
    [{ ttl: 604_801 }, [400, 'invalid', 'ttl']],
    [{ reason: '' }, [400, 'invalid', 'reason']],
    [{ reason: undefined }, [400, 'invalid', 'reason']],
    [{ also: 1 }, [400, 'invalid', 'also']],
  ])('refuses %j', async (parts, expected) => {
    expect(problem(await send('POST', '/records', wish(parts)))).toEqual(expected);
    expect(gateway.applied.count).toBe(0);
  });

  it('refuses a removal without a reason, and an id that is none', async () => {
    const { id } = (await send('POST', '/records', wish())).json();
    expect(problem(await send('DELETE', `/records/${id}`))[0]).toBe(400);
    expect(problem(await send('DELETE', `/records/${id}`, { reason: 'x' }))).toEqual([
      400,
      'invalid',
      'reason',
    ]);
    expect(problem(await send('DELETE', '/records/A_B', { reason: 'no such' }))[0]).toBe(400);
  });

  it('O04: overseers read them, technicians alone change them', async () => {
    for (const role of ['coordinator', 'headteacher'] as const)
      expect((await send('GET', '/records', undefined, everyone[role])).statusCode).toBe(200);
    for (const role of ['pupil', 'guest', 'staff', 'coordinator', 'headteacher', 'governor'] as const) {
      expect((await send('POST', '/records', wish(), everyone[role])).statusCode).toBe(403);
      expect((await send('DELETE', '/records/x', { reason: 'because' }, everyone[role])).statusCode).toBe(
        403,
      );
      expect((await send('POST', '/dns/purge', {}, everyone[role])).statusCode).toBe(403);
    }
    expect((await send('GET', '/records', undefined, {})).statusCode).toBe(401);
  });

  it('are in the description of the API', async () => {
    const { paths } = (await gateway.app.inject({ url: '/api/v1/openapi.json' })).json();
    expect(Object.keys(paths['/api/v1/records'])).toEqual(['get', 'post']);
    expect(paths['/api/v1/records/{id}'].delete.requestBody).toBeDefined();
    expect(paths['/api/v1/dns/purge'].post).toBeDefined();
  });
});

describe('forgetting DNS answers', () => {
  it('takes names, or all of them', async () => {
    expect((await send('POST', '/dns/purge', { names: ['WWW.Example.', 'bücher.example'] })).json()).toEqual({
      names: ['www.example', 'xn--bcher-kva.example'],
    });
    expect((await send('POST', '/dns/purge', {})).json()).toEqual({ names: null });
    expect(gateway.purged).toEqual([['www.example', 'xn--bcher-kva.example'], null]);
  });

  it('refuses what is no name', async () => {
    expect(problem(await send('POST', '/dns/purge', { names: ['ok.example', 'a b'] }))).toEqual([
      400,
      'invalid',
      'names[1]',
    ]);
    expect(problem(await send('POST', '/dns/purge', { names: [] }))[0]).toBe(400);
    expect(gateway.purged).toEqual([]);
  });
});
