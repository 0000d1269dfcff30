import http from 'node:http';
import { mkdtempSync, rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium, type BrowserContext } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startFakeUpstream, type FakeUpstream } from '../support/fake-upstream.ts';
import { readData, startGateway, TEST_POLICY, type TestGateway } from '../support/gateway.ts';

let upstream: FakeUpstream;
let gateway: TestGateway;
let origin: http.Server;
let originPort: number;
let profile: string;
let browser: BrowserContext;

beforeAll(async () => {
  upstream = await startFakeUpstream();
  const policy = structuredClone(TEST_POLICY);
  policy.clients.push({ name: 'this-machine', match: ['127.0.0.1'], group: 'ks2' });
  gateway = await startGateway({ upstream: upstream.port, policy });
  origin = http.createServer((request, response) => {
    response.setHeader('content-type', 'text/html; charset=utf-8');
    response.end(
      `<!doctype html><title>Local page</title><h1>Hello</h1><p id="host">${request.headers.host}</p>`,
    );
  });
  await new Promise<void>((resolve) => origin.listen(0, '127.0.0.1', resolve));
  originPort = (origin.address() as AddressInfo).port;
  profile = mkdtempSync(join(tmpdir(), 'schoolgate-chromium-'));
  browser = await chromium.launchPersistentContext(profile, {
    executablePath: '/usr/bin/chromium',
    headless: true,
    proxy: { server: `http://127.0.0.1:${gateway.proxy}`, bypass: '127.0.0.1' },
    viewport: { width: 820, height: 1180 },
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
});
afterAll(async () => {
  await browser?.close();
  await gateway?.dispose();
  await upstream?.close();
  origin?.close();
  rmSync(profile, { recursive: true, force: true });
});

describe('a browser behind the proxy', () => {
  it('opens an allowed page', async () => {
    const page = await browser.newPage();
    const answer = await page.goto(`http://allowed.example:${originPort}/`);
    expect(answer?.status()).toBe(200);
    expect(await page.textContent('#host')).toBe(`allowed.example:${originPort}`);
    await page.close();
  });

  it('shows the block page for a blocked plain-HTTP page: words, no scripts, nothing from outside', async () => {
    const page = await browser.newPage();
    const asked: string[] = [];
    const problems: string[] = [];
    page.on('request', (request) => asked.push(request.url()));
    page.on('console', (message) => message.type() === 'error' && problems.push(message.text()));
    const answer = await page.goto(
      `http://games.example:${originPort}/level/1?name=%3Cscript%3Ealert(1)%3C/script%3E`,
    );
    expect(answer?.status()).toBe(403);
    expect(await page.title()).toBe('This site is not open here');
    expect(await page.textContent('h1')).toBe('This site is not open here');
    expect(await page.getAttribute('html', 'lang')).toMatch(/^en/);
    expect(await page.textContent('body')).toMatch(/grown-up|teacher/);
    expect(asked.filter((url) => !url.endsWith('/favicon.ico'))).toHaveLength(1);
    expect(problems.filter((text) => !/403|favicon/.test(text))).toEqual([]);
    await page.close();
  });

  it('makes the first technician through the setup link, once', async () => {
    const link = readData(gateway, 'setup-link').trim();
    const page = await browser.newPage();
    // The link is opened at the machine itself, past the proxy.
    const answer = await page.goto(link);
    expect(answer?.status()).toBe(200);
    await page.fill('input[name=username]', 'first');
    await page.fill('input[name=name]', 'First Technician');
    for (const field of await page.$$('input[type=password]')) await field.fill('Correct-horse-7');
    await page.click('form button');
    await page.waitForLoadState();
    expect(await page.textContent('body')).toMatch(/first|made|ready|done/i);
    const again = await page.goto(link);
    expect(again?.status()).not.toBe(200);
    await page.close();
    const login = await fetch(`http://127.0.0.1:${gateway.web}/api/v1/login`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ username: 'first', password: 'Correct-horse-7' }),
    });
    expect(login.status).toBe(200);
  });
});
