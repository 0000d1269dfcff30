import { describe, expect, it } from 'vitest';
import { createReach } from '../../src/proxy/reach.ts';
import type { Target } from '../../src/proxy/target.ts';
import type { ProxySettings } from '../../src/proxy/types.ts';
import { cannedOrigin, exchange, rig } from './fixture.ts';

const base: ProxySettings = {
  connectPorts: [443],
  allowPrivate: [],
  own: {
    host: 'Gateway.School.Example',
    addresses: ['203.0.113.9', '127.0.0.1', '::1'],
    ports: [53, 3128, 8080],
  },
  school: 's',
  language: 'en',
  publicUrl: null,
};
const to = (host: string, port = 80): Target => ({
  host,
  isAddress: /^[0-9.]+$|:/.test(host),
  port,
  authority: host,
  path: '/',
});
const reach = (settings: Partial<ProxySettings>, answers: Record<string, string[]> = {}) =>
  createReach({
    lookup: {
      resolve: (name) =>
        Promise.resolve({
          addresses: (answers[name] ?? []).map((address) => ({ address, family: 4 as const })),
          chain: [],
        }),
    },
    settings: { ...base, ...settings },
  });

const found = async (r: ReturnType<typeof reach>, target: Target) => (await r.resolve(target)).to;

describe('F12: the way into the school is closed', () => {
  it.each([
    '127.0.0.1',
    '127.9.9.9',
    '0.0.0.0',
    '10.1.2.3',
    '172.16.0.1',
    '172.31.255.255',
    '192.168.0.1',
    '169.254.169.254',
    '100.64.0.1',
    '224.0.0.1',
    '255.255.255.255',
    '::1',
    '::',
    'fe80::1',
    'fc00::1',
    'fd12::1',
    '64:ff9b::a00:1',
    '2002:a00:1::1',
    'ff02::1',
    '203.0.113.9',
  ])('%s by address and by name', async (address) => {
    expect(reach({}).precheck(to(address), 'http')).toMatchObject({ status: 403, reason: 'private-address' });
    expect(await found(reach({}, { 'a.example': [address] }), to('a.example'))).toMatchObject({
      reason: 'private-address',
    });
  });
  it('names of both kinds are reached outside only', async () => {
    expect(
      await found(reach({}, { 'a.example': ['10.0.0.1', '198.51.100.7', '::1'] }), to('a.example')),
    ).toEqual(['198.51.100.7']);
  });
  it('the gateway’s own name is refused', () => {
    expect(reach({}).precheck(to('gateway.school.example'), 'http')).toMatchObject({
      reason: 'private-address',
    });
  });
  it('allow_private opens names with all below them, and networks', async () => {
    const r = reach(
      { allowPrivate: ['Intranet.Example', '*.wild.example', '10.2.0.0/16', 'fd00::/8'] },
      {
        'intranet.example': ['192.168.1.1'],
        'mail.intranet.example': ['192.168.1.2'],
        'notintranet.example': ['192.168.1.3'],
        'x.wild.example': ['10.9.0.1'],
        'b.example': ['10.2.3.4', '10.3.0.1'],
        'c.example': ['fd00::7'],
      },
    );
    expect(await found(r, to('intranet.example'))).toEqual(['192.168.1.1']);
    expect(await found(r, to('mail.intranet.example'))).toEqual(['192.168.1.2']);
    expect(await found(r, to('notintranet.example'))).toMatchObject({ status: 403 });
    expect(await found(r, to('x.wild.example'))).toEqual(['10.9.0.1']);
    expect(await found(r, to('b.example'))).toEqual(['10.2.3.4']);
    expect(await found(r, to('c.example'))).toEqual(['fd00::7']);
    expect(r.precheck(to('10.2.0.1'), 'http')).toBeNull();
  });
  it('no allow_private opens the gateway’s own ports', async () => {
    const r = reach(
      { allowPrivate: ['127.0.0.0/8', '::1', '203.0.113.0/24', 'sly.example'] },
      {
        'sly.example': ['127.0.0.1'],
        'v6.example': ['::1'],
      },
    );
    for (const port of base.own.ports!) {
      for (const address of ['127.0.0.1', '127.5.5.5', '0.0.0.0', '::1', '203.0.113.9'])
        expect(r.precheck(to(address, port), 'http'), `${address}:${port}`).toMatchObject({ status: 403 });
      expect(await found(r, to('sly.example', port))).toMatchObject({ status: 403 });
      expect(await found(r, to('v6.example', port))).toMatchObject({ status: 403 });
    }
    expect(await found(r, to('sly.example', 9000))).toEqual(['127.0.0.1']);
  });
  it('a setting that is neither name nor network is named', () => {
    expect(() => reach({ allowPrivate: ['in valid'] })).toThrow('allow_private: in valid');
  });
});

it('ports: CONNECT by setting, plain requests not to other protocols', () => {
  expect(reach({}).precheck(to('a.example', 22), 'connect')).toMatchObject({ reason: 'port' });
  expect(reach({}).precheck(to('a.example', 443), 'connect')).toBeNull();
  expect(reach({ connectPorts: 'any' }).precheck(to('a.example', 22), 'connect')).toBeNull();
  expect(reach({}).precheck(to('a.example', 25), 'http')).toMatchObject({ reason: 'port' });
});

it('F12: a name that turns to the inside is refused though a connection to it is kept', async () => {
  const origin = await cannedOrigin('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi');
  const r = await rig({ allowPrivate: ['127.0.0.1/32'] });
  const ask = () =>
    exchange(
      r.proxy.port,
      `GET http://site.test:${origin.port}/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`,
    );
  expect(await ask()).toContain('200 OK');
  expect(r.proxy.stats()['spareOrigins']).toBe(1);
  r.names.set('site.test', ['127.0.0.2']);
  expect(await ask()).toContain('403 Forbidden');
  expect(r.decisions[1]!.verdict).toMatchObject({ action: 'block', reason: 'private-address' });
  for (const spelling of ['0x7f.2', '2130706434', '[::ffff:127.0.0.2]', '0177.0.0.2'])
    expect(await exchange(r.proxy.port, `CONNECT ${spelling}:${origin.port} HTTP/1.1\r\n\r\n`)).toContain(
      '403 Forbidden',
    );
  await r.close();
  await origin.close();
});

describe('F12: names that no upstream may be asked about', () => {
  it.each([
    ['localhost', 'private-address'],
    ['a.localhost', 'private-address'],
    ['printer.local', 'private-address'],
    ['hidden.onion', 'upstream'],
    ['x.y.invalid', 'upstream'],
  ])('%s is refused before it is resolved', async (host, reason) => {
    expect(reach({}).precheck(to(host, 443), 'connect')).toMatchObject({ reason });
    expect(reach({ allowPrivate: [host] }).precheck(to(host), 'http')).toBeNull();
    expect(reach({ forwarded: [host] }).precheck(to(`below.${host}`), 'http')).toBeNull();
    expect(reach({ forwarded: [`other.${host}`] }).precheck(to(host), 'http')).toMatchObject({ reason });
    const r = await rig();
    const text = await exchange(
      r.proxy.port,
      `GET http://${host}/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`,
    );
    expect(text).toMatch(/^HTTP\/1\.1 (403|502) /);
    expect(r.lookups).toEqual([]);
    expect(r.decisions).toMatchObject([{ host, verdict: { reason } }]);
    await r.close();
  });
  it.each(['notlocal', 'local.example', 'mylocalhost.example', 'onion.example'])(
    '%s is a name like any other',
    (host) => {
      expect(reach({}).precheck(to(host), 'http')).toBeNull();
    },
  );
});
