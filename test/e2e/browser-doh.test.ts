// A real browser that is set to ask the gateway over DoH: what it opens and what stays shut is the gateway's to say.

import { createHash, createPublicKey, X509Certificate } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium, type BrowserContext } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { testCertificate, testKey } from '../support/certificate.ts';
import { startFakeUpstream, type FakeUpstream } from '../support/fake-upstream.ts';
import { TEST_POLICY, startGateway, type TestGateway } from '../support/gateway.ts';

let upstream: FakeUpstream;
let gateway: TestGateway;
let origin: Server;
let browser: BrowserContext;
const profile = mkdtempSync(join(tmpdir(), 'schoolgate-browser-'));

beforeAll(async () => {
  upstream = await startFakeUpstream();
  origin = createServer((_request, response) => response.end('<h1>the garden</h1>')).listen(0, '127.0.0.1');
  await once(origin, 'listening');
  gateway = await startGateway({
    upstream: upstream.port,
    policy: {
      ...TEST_POLICY,
      clients: [{ name: 'laptop', match: ['id:laptop-3'], group: 'ks2' }],
    },
    files: { 'dns.crt': testCertificate, 'dns.key': testKey },
    gateway: {
      listen: { dns: ['127.0.0.1:0'], doh: ['127.0.0.1:0'], proxy: ['127.0.0.1:0'], web: ['127.0.0.1:0'] },
      tls: { cert: 'dns.crt', key: 'dns.key', host: 'dns.test' },
    },
  });
  // As the settings page would write it: no other resolver, even when this one fails.
  const templates = `https://127.0.0.1:${gateway.doh}/dns-query/laptop-3`;
  writeFileSync(
    join(profile, 'Local State'),
    JSON.stringify({ dns_over_https: { mode: 'secure', templates } }),
  );
  const key = createPublicKey(
    new X509Certificate(testCertificate).publicKey.export({ type: 'spki', format: 'pem' }),
  );
  const digest = createHash('sha256')
    .update(key.export({ type: 'spki', format: 'der' }))
    .digest('base64');
  browser = await chromium.launchPersistentContext(profile, {
    executablePath: '/usr/bin/chromium',
    args: ['--no-sandbox', `--ignore-certificate-errors-spki-list=${digest}`],
  });
}, 60_000);

afterAll(async () => {
  await browser?.close();
  await gateway?.dispose();
  await upstream?.close();
  origin?.close();
  rmSync(profile, { recursive: true, force: true });
});

it('F01 Chromium over DoH: what the group may see opens, what is blocked does not resolve', async () => {
  const port = (origin.address() as AddressInfo).port;
  const page = await browser.newPage();
  await page.goto(`http://garden.example:${port}/`);
  expect(await page.textContent('h1')).toBe('the garden');
  expect(upstream.asked).toContain('garden.example');
  await expect(page.goto(`http://games.example:${port}/`)).rejects.toThrow(/ERR_NAME_NOT_RESOLVED/);
  expect(upstream.asked).not.toContain('games.example');
});
