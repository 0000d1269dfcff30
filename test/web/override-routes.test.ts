import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { addEveryRole, HOUR, openGateway, START } from './fixture.ts';
import type { Gateway } from './fixture.ts';

type Answer = Awaited<ReturnType<Gateway['app']['inject']>>;
let gateway: Gateway;
let headers: { authorization: string };
beforeEach(async () => {
  gateway = await openGateway();
  headers = (await addEveryRole(gateway)).technician;
});
afterEach(async () => {
  await gateway.close();
});

const get = (url: string): Promise<Answer> => gateway.app.inject({ url, headers });
const post = (url: string, payload: object): Promise<Answer> =>
  gateway.app.inject({ method: 'POST', url, payload, headers });
const problem = (answer: Answer): [number, string, string | undefined] => {
  const { error } = answer.json();
  return [answer.statusCode, error.code, error.details?.[0]?.field];
};
const iso = (at: number): string => new Date(at).toISOString();
const wish = (parts: object = {}): object => ({
  names: ['games.example.com'],
  scope: { groups: ['ks1'] },
  until: iso(START + HOUR),
  reason: 'a maths lesson',
  ...parts,
});

describe('overrides', () => {
  it('O01: grant, list, read, revoke; in force in every thread before it answers', async () => {
    const granted = await post('/api/v1/overrides', wish());
    expect(granted.statusCode).toBe(201);
    expect(granted.json()).toMatchObject({
      state: 'in-force',
      from: iso(START),
      until: iso(START + HOUR),
      requestedBy: 'technician',
      review: true,
      endedAt: null,
    });
    expect(gateway.applied.count).toBe(1);
    const { id } = granted.json();
    expect((await get('/api/v1/overrides?state=in-force')).json()).toMatchObject({
      items: [{ id }],
      next: null,
    });
    expect((await get(`/api/v1/overrides/${id}`)).json()).toMatchObject({ id });
    const revoked = await post(`/api/v1/overrides/${id}/revoke`, { reason: 'lesson over' });
    expect(revoked.json()).toMatchObject({
      state: 'ended',
      endedWhy: 'revoked',
      endedBy: 'technician',
      endReason: 'lesson over',
    });
    expect((await get('/api/v1/overrides?state=in-force')).json().items).toEqual([]);
    expect(gateway.applied.count).toBe(2);
  });

  it('answers 202 with a note when a thread is slow: it is written down all the same', async () => {
    gateway.applied.fails = true;
    const granted = await post('/api/v1/overrides', wish());
    expect([granted.statusCode, typeof granted.json().note]).toEqual([202, 'string']);
    const { id } = granted.json();
    expect((await post(`/api/v1/overrides/${id}/revoke`, { reason: 'lesson over' })).statusCode).toBe(202);
    expect((await get(`/api/v1/overrides/${id}`)).json().state).toBe('ended');
  });

  it('two who revoke at once: one ends it, the other hears so, and there is one row in the change log', async () => {
    const { id } = (await post('/api/v1/overrides', wish())).json();
    const revoke = () => post(`/api/v1/overrides/${id}/revoke`, { reason: 'lesson over' });
    const both = await Promise.all([revoke(), revoke()]);
    expect(both.map((answer) => answer.statusCode)).toEqual([200, 200]);
    expect(both.map((answer) => 'note' in answer.json()).sort()).toEqual([false, true]);
    expect(gateway.changeLog.list(100, null).filter((row) => row.what === 'override.revoked')).toHaveLength(
      1,
    );
  });

  it('F02: a sealed name is refused and the attempt recorded', async () => {
    expect(problem(await post('/api/v1/overrides', wish({ names: ['sealed.example.com'] })))).toEqual([
      409,
      'sealed',
      'names',
    ]);
    expect(gateway.changeLog.list(1, null)[0]).toMatchObject({
      what: 'override.refused',
      who: 'technician',
      review: 1,
    });
    expect(gateway.applied.count).toBe(0);
  });

  it('survives a restart', async () => {
    const { id } = (await post('/api/v1/overrides', wish())).json();
    await gateway.restart();
    expect((await get('/api/v1/overrides?state=in-force')).json().items).toMatchObject([{ id }]);
  });

  it.each<[object, string]>([
    [{}, 'names'],
    [[], 'body'],
    [{ ...wish(), colour: 'red' }, 'colour'],
    [wish({ names: 'games.example.com' }), 'names'],
    [wish({ names: [] }), 'names'],
    [wish({ names: [5] }), 'names[0]'],
    [wish({ names: [null] }), 'names[0]'],
    [wish({ names: Array(51).fill('a.example.com') }), 'names'],
    [wish({ names: ['https://a.example.com/'] }), 'names[0]'],
    [wish({ names: ['co.uk'] }), 'names[0]'],
    [wish({ scope: {} }), 'scope'],
    [wish({ scope: { groups: ['ks9'] } }), 'scope.groups'],
    [wish({ scope: { group: ['ks1'] } }), 'scope.group'],
    [wish({ scope: null }), 'scope'],
    [wish({ until: START + HOUR }), 'until'],
    [wish({ until: '2026-09-07 12:00' }), 'until'],
    [wish({ until: iso(START - HOUR) }), 'until'],
    [wish({ until: '2036-09-07T12:00:00Z' }), 'until'],
    [wish({ from: 'now' }), 'from'],
    [wish({ reason: '' }), 'reason'],
    [wish({ reason: 'x'.repeat(3000) }), 'reason'],
  ])('names what is wrong with %j', async (payload, field) => {
    const answer = await post('/api/v1/overrides', payload);
    expect(problem(answer)).toEqual([400, 'invalid', field]);
    expect(answer.json().error.message).toContain(`${field}: `);
    expect(gateway.applied.count).toBe(0);
  });

  it('says everything that is wrong with the shape at once', async () => {
    const { details } = (await post('/api/v1/overrides', { names: [1], scope: {}, why: 'x' })).json().error;
    expect(details.map((one: { field: string }) => one.field)).toEqual(
      expect.arrayContaining(['names[0]', 'until', 'reason', 'why']),
    );
  });

  it('knows no such override', async () => {
    expect(problem(await get('/api/v1/overrides/nothing'))[0]).toBe(404);
    expect(problem(await post('/api/v1/overrides/nothing/revoke', { reason: 'why not' }))[0]).toBe(404);
    expect(await get('/api/v1/overrides/..%2f..%2fetc')).toMatchObject({ statusCode: 400 });
  });
});
