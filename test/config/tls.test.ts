import { chmodSync, chownSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generateKeyPairSync } from 'node:crypto';
import { afterAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { formatError, loadConfig } from '../../src/config/load.ts';
import { certificateCheck } from '../../src/workers/certificate-check.ts';
import { testCertificate, testKey } from '../support/certificate.ts';

const dir = mkdtempSync(join(tmpdir(), 'schoolgate-tls-'));
afterAll(() => rmSync(dir, { recursive: true }));
const put = (name: string, text: string, mode = 0o600): string => {
  writeFileSync(join(dir, name), text);
  chmodSync(join(dir, name), mode);
  return name;
};
put('good.crt', testCertificate, 0o644);
put('good.key', testKey);
put('open.key', testKey, 0o644);
put('games.txt', 'games.example\n');
put('empty.pem', '');
put('huge.pem', 'x'.repeat(300_000));
put(
  'other.key',
  generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({
    type: 'pkcs8',
    format: 'pem',
  }) as string,
);

function load(gateway: object, clients: object[] = []) {
  put(
    'policy.yaml',
    stringify({
      groups: { all: { default: 'block', ratings: { games: 'unacceptable' } } },
      unknown: 'all',
      clients,
    }),
  );
  put(
    'gateway.yaml',
    stringify({
      school: { name: 'Example Primary' },
      blocklists: [{ name: 'games', category: 'games', source: 'games.txt' }],
      ...gateway,
    }),
  );
  const loaded = loadConfig(join(dir, 'gateway.yaml'), { cores: 1 });
  const told = (loaded.ok ? loaded.warnings : loaded.errors).map((one) => formatError(one));
  return { loaded, told: told.join('\n').replaceAll(`${dir}/`, '') };
}
const both = { dot: ['127.0.0.1:8853'], doh: ['127.0.0.1:8443'] };
const tls = { cert: 'good.crt', key: 'good.key', host: 'DNS.test' };

describe('tls and encrypted listeners', () => {
  it('are read, with paths beside gateway.yaml', () => {
    const { loaded, told } = load({
      listen: { ...both, proxy_protocol: { from: ['127.0.0.5'], on: ['doh'] } },
      tls,
    });
    expect(told).toBe('');
    if (!loaded.ok) throw new Error('refused');
    expect(loaded.config.tls).toEqual({
      cert: join(dir, 'good.crt'),
      key: join(dir, 'good.key'),
      host: 'dns.test',
    });
    expect(loaded.config.listen).toMatchObject({
      dot: [{ address: '127.0.0.1', port: 8853 }],
      doh: [{ address: '127.0.0.1', port: 8443 }],
      proxyProtocol: { from: ['127.0.0.5'], on: ['doh'] },
    });
  });

  it('are off, and no forwarder is believed, when nothing is said', () => {
    const { loaded } = load({});
    if (!loaded.ok) throw new Error('refused');
    expect(loaded.config.tls).toBeNull();
    expect(loaded.config.listen).toMatchObject({ dot: [], doh: [], proxyProtocol: { from: [] } });
  });

  it.each([
    [{ listen: both }, 'listen.dot: needs a certificate, write tls: { cert: gateway.crt, key: gateway.key }'],
    [{ listen: both, tls: { ...tls, cert: 'none.crt' } }, 'tls.cert: none.crt is not there, write the path'],
    [{ listen: both, tls: { ...tls, key: 'none.key' } }, 'tls.key: none.key is not there, write the path'],
    [
      { listen: both, tls: { ...tls, key: '/run/credentials/none.service/gateway.key' } },
      'gateway.key is not there, it is there while the service runs, with LoadCredential',
    ],
    [{ listen: both, tls: { ...tls, cert: 'empty.pem' } }, 'tls.cert: empty.pem holds no certificate'],
    [{ listen: both, tls: { ...tls, cert: 'huge.pem' } }, 'tls.cert: huge.pem is too long'],
    [{ listen: both, tls: { ...tls, key: 'empty.pem' } }, 'tls.key: empty.pem holds no private key'],
    [{ listen: both, tls: { ...tls, key: 'other.key' } }, 'tls.key: other.key is not the key of good.crt'],
    [
      { listen: both, tls: { ...tls, key: 'open.key' } },
      'everyone on this machine may read open.key, run chmod o=',
    ],
    [
      { listen: both, tls: { cert: 'good.crt', key: 'good.key' } },
      'tls: has no name, so no client can be known',
    ],
    [
      { listen: { dot: ['127.0.0.1:8080'] }, tls },
      'listen.web[0]: 127.0.0.1 port 8080 is taken by listen.dot[0]',
    ],
    [
      { listen: { proxy_protocol: { from: ['10.0.0.5'], on: ['dot'] } } },
      'listen.proxy_protocol.on: nothing listens for dot',
    ],
    [{ listen: { proxy_protocol: { on: ['dot'] } } }, 'listen.proxy_protocol.from'],
    [{ listen: { dot: ['0.0.0.0:853'] }, tls }, 'DNS listens on 0.0.0.0, but only this machine may ask'],
  ])('%j', (gateway, says) => {
    const { told } = load(gateway);
    if (says.startsWith('listen.web'))
      expect(load({ listen: { dot: ['127.0.0.1:8080'], web: ['127.0.0.1:8080'] }, tls }).told).toContain(
        says,
      );
    else expect(told).toContain(says);
  });
});

describe('the name in the certificate', () => {
  it.each(['other.test', 'id.dns.test'])('%s is none of it', (host) => {
    const { loaded, told } = load({ listen: both, tls: { ...tls, host } });
    expect(loaded.ok).toBe(true);
    expect(told).toContain(`tls.host: good.crt is not a certificate for ${host}, so clients`);
  });
});

describe('a key that the gateway may not read', () => {
  /** Root reads a file whatever its mode is, so it becomes somebody else meanwhile. */
  const asNobody = <T>(act: () => T): T => {
    if (process.getuid?.() !== 0) return act();
    process.seteuid!(65534);
    try {
      return act();
    } finally {
      process.seteuid!(0);
    }
  };

  it('is told by what cures it, not by its path', () => {
    put('shut.key', testKey, 0o000);
    if (process.getuid?.() === 0)
      for (const file of ['', ...readdirSync(dir)]) chownSync(join(dir, file), 65534, 65534);
    const { told } = asNobody(() => load({ listen: both, tls: { ...tls, key: 'shut.key' } }));
    expect(told).toContain(
      'shut.key may not be read by the gateway’s user, let that user read it and nobody',
    );
    expect(told).not.toContain('write the path');
  });
});

describe('client ids in the policy', () => {
  const all = (match: string[]) => ({ name: 'tablets', group: 'all', match });
  it('F01 F07 are read in lower case beside networks', () => {
    const { loaded, told } = load({}, [all(['10.0.0.0/8', 'id:Tablet-7'])]);
    expect(told).toBe('');
    if (loaded.ok) expect(loaded.policy.clients[0]?.match).toEqual(['10.0.0.0/8', 'id:tablet-7']);
  });
  it('wrong or double ones are named', () => {
    expect(load({}, [all(['id:tablet_7'])]).told).toContain(
      '"id:tablet_7" is not a client id, write id: and',
    );
    expect(load({}, [all(['id:a', 'id:A'])]).told).toContain('id:a is already in this client');
  });
});

describe('how long a certificate holds', () => {
  const DAY = 86_400_000;
  const check = (days: number) =>
    certificateCheck(
      { cert: '', key: '', host: null, expiresAt: Date.UTC(2030, 0, 31) },
      Date.UTC(2030, 0, 31) - days * DAY,
    );
  it.each([
    [400, true, 'good until 2030-01-31'],
    [21, true, 'good until 2030-01-31'],
    [20.9, false, 'expires on 2030-01-31, in 20 days: put a new one'],
    [1.5, false, 'in 1 day:'],
    [0, false, 'expired on 2030-01-31, DoT and DoH clients refuse it'],
    [-5, false, 'expired on'],
  ])('%d days before', (days, ok, detail) => {
    const found = check(days);
    expect(found?.ok).toBe(ok);
    expect(found?.detail).toContain(detail);
  });
  it('none, nothing to say', () => expect(certificateCheck(null, 0)).toBeNull());
});
