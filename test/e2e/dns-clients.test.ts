// Other people's DNS clients against a started gateway: getdns, drill, host, nslookup, and the system's own library with a
// resolv.conf in a mount of its own. Each is told the same by the same gateway.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startFakeUpstream, type FakeUpstream } from '../support/fake-upstream.ts';
import { startGateway, type TestGateway } from '../support/gateway.ts';
import { run } from './programs.ts';

// These clients ask from 127.0.0.1, so that is a pupil here.
const POLICY = {
  groups: {
    pupils: { label: 'Pupils', default: 'allow', ratings: { games: 'unacceptable' } },
    unregistered: { label: 'Not registered', extends: 'pupils', default: 'block' },
  },
  clients: [{ name: 'laptops', match: ['127.0.0.1'], group: 'pupils' }],
  unknown: 'unregistered',
};
/** The port cannot be written into a resolv.conf, so it is 53 on an address that nobody else has. */
const RESOLVER = '127.0.77.53';
const LISTS = { games: { category: 'games', names: ['games.example'] } };

let upstream: FakeUpstream;
let gateway: TestGateway;
beforeAll(async () => {
  const listen = { dns: ['127.0.0.1:0', `${RESOLVER}:53`], proxy: ['127.0.0.1:0'], web: ['127.0.0.1:0'] };
  upstream = await startFakeUpstream('192.0.2.7');
  gateway = await startGateway({
    upstream: upstream.port,
    policy: POLICY,
    lists: LISTS,
    gateway: { listen },
  });
});
afterAll(async () => {
  await gateway?.dispose();
  await upstream?.close();
});

const port = (): string => String(gateway.dns);

describe('other DNS clients', () => {
  it('F01 drill, by UDP and TCP', async () => {
    const drill = (...args: string[]) => run('drill', ['-p', port(), ...args, '@127.0.0.1']);
    for (const way of ['-u', '-t']) {
      expect((await drill(way, 'www.games.example')).stdout).toContain('rcode: NXDOMAIN');
      expect((await drill(way, 'open.example')).stdout).toMatch(
        /open\.example\.\s+\d+\s+IN\s+A\s+192\.0\.2\.7/i,
      );
    }
  });

  it('F01 host and nslookup', async () => {
    const blocked = await run('host', ['-p', port(), 'games.example', '127.0.0.1']);
    expect([blocked.code, blocked.stdout.includes('NXDOMAIN')]).toEqual([1, true]);
    const open = await run('host', ['-p', port(), 'open.example', '127.0.0.1']);
    expect(open.stdout).toMatch(/open\.example has address 192\.0\.2\.7/i);
    const asked = await run('nslookup', [`-port=${port()}`, 'open.example', '127.0.0.1']);
    expect(asked.stdout).toContain('192.0.2.7');
    const denied = await run('nslookup', [`-port=${port()}`, 'games.example', '127.0.0.1']);
    expect(denied.stdout).toContain('NXDOMAIN');
  });

  it('F01 getdns_query as a stub, by UDP and TCP', async () => {
    const query = (way: string, name: string) =>
      run('getdns_query', ['-s', way, `@127.0.0.1@${port()}`, '-A', name]);
    for (const way of ['-U', '-T']) {
      expect((await query(way, 'open.example.')).stdout).toContain('192.0.2.7');
      const blocked = (await query(way, 'games.example.')).stdout;
      expect(blocked).toMatch(/NO_NAME|NXDOMAIN/);
      expect(blocked).not.toContain('192.0.2.7');
    }
  });
});

describe('the library of the system', () => {
  it('F01 getent finds what is open and nothing else, by a resolv.conf of its own', async () => {
    const file = join(gateway.dir, 'resolv.conf');
    writeFileSync(file, `nameserver ${RESOLVER}\noptions edns0 trust-ad timeout:3 attempts:2\n`);
    // A mount that only this program sees; in it the library finds the gateway where it always looks.
    const getent = (name: string) =>
      run('unshare', ['-m', 'sh', '-c', `mount --bind ${file} /etc/resolv.conf && getent ahostsv4 ${name}`]);
    expect((await getent('open.example')).stdout).toMatch(/^192\.0\.2\.7 /);
    expect(await getent('games.example')).toMatchObject({ code: 2, stdout: '' });
  });
});
