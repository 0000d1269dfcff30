// The gateway's own names as local records: at which addresses, and when it leaves them alone.

import { describe, expect, it } from 'vitest';
import { ownNames, withOwnNames } from '../../src/workers/own-names.ts';

const at = (...addresses: string[]) => addresses.map((address) => ({ address, port: 53 }));
const listen = (dns: string[]) => ({
  dns: at(...dns),
  dot: [],
  doh: [],
  proxyProtocol: { from: [], on: [] },
  proxy: [],
  web: [],
});
const shown = (host: string | null, v4: string | null = null, v6: string | null = null) => ({
  public: { host, v4, v6 },
});
const tls = { cert: '', key: '', host: 'gateway.example.sch.uk' };

function names(
  config: { web?: ReturnType<typeof shown>; tls?: typeof tls | null; dns?: string[]; ids?: boolean },
  listening: { dns?: string[]; dot?: string[]; doh?: string[] } = {},
): string[] {
  const { dns = ['10.0.0.1'], dot = ['10.0.0.1'], doh = [] } = listening;
  return ownNames(
    {
      web: config.web ?? shown(null),
      tls: config.tls === undefined ? tls : config.tls,
      listen: listen(config.dns ?? dns),
    },
    { dns: at(...dns), dot: at(...dot), doh: at(...doh) },
    () => config.ids ?? true,
  ).map(({ name, type, value }) => `${name} ${type} ${value}`);
}
const HOST = 'gateway.example.sch.uk';

describe('the names of the gateway itself', () => {
  it('are where it listens, with the client ids below', () => {
    expect(names({})).toEqual([`${HOST} A 10.0.0.1`, `*.${HOST} A 10.0.0.1`]);
    expect(names({}, { dot: ['0.0.0.0'], dns: ['127.0.0.1', '10.0.0.1', 'fd00::1'] })).toEqual([
      `${HOST} A 10.0.0.1`,
      `${HOST} AAAA fd00::1`,
      `*.${HOST} A 10.0.0.1`,
      `*.${HOST} AAAA fd00::1`,
    ]);
    expect(names({}, { dot: ['127.0.0.1'], dns: ['127.0.0.1'] })).toContain(`${HOST} A 127.0.0.1`);
  });

  it('are where web.public says', () => {
    expect(names({ web: shown('page.example.sch.uk', '10.0.0.2', 'fd00::2'), tls: null })).toEqual([
      'page.example.sch.uk A 10.0.0.2',
      'page.example.sch.uk AAAA fd00::2',
    ]);
    expect(names({ web: shown(HOST, '10.0.0.2') })).toEqual([`${HOST} A 10.0.0.2`, `*.${HOST} A 10.0.0.2`]);
    expect(names({ web: shown('page.example.sch.uk'), tls: null })).toEqual([
      'page.example.sch.uk A 10.0.0.1',
    ]);
  });

  it('are none when no address is known, or nobody needs them', () => {
    expect(names({ dns: ['0.0.0.0'] }, { dns: ['10.0.0.1', '172.17.0.1'], dot: ['0.0.0.0'] })).toEqual([]);
    expect(names({}, { dot: [] })).toEqual([]);
    expect(names({ tls: null })).toEqual([]);
  });

  it('leave the names below the domain of the school alone', () => {
    for (const host of ['example.sch.uk', 'school.example', 'school.co.uk'])
      expect(names({ tls: { ...tls, host } })).toEqual([`${host} A 10.0.0.1`]);
  });

  it('have no client ids below that the certificate is not for', () => {
    expect(names({ ids: false })).toEqual([`${HOST} A 10.0.0.1`]);
  });

  it('give way to what the school wrote of them', () => {
    const own = [{ name: HOST, type: 'A', value: '10.0.0.1', ttl: 60 }] as const;
    const data = {
      records: [{ name: HOST, type: 'AAAA', value: 'fd00::9', ttl: 60 }],
      authoritative: [],
    } as const;
    expect(withOwnNames(data, own).records).toEqual(data.records);
    expect(withOwnNames({ records: [], authoritative: ['a.example'] }, own)).toEqual({
      records: own,
      authoritative: ['a.example'],
    });
  });
});
