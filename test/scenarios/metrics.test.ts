// The figures of a running gateway against what was sent to it: none too many, none too few, and nobody's address in them.

import dgram from 'node:dgram';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import packet from 'dns-packet';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually } from '../support/api.ts';
import { testCertificate, testKey } from '../support/certificate.ts';
import { askDns } from '../support/dns-client.ts';
import { dohClient, dotClient, framed, tcpClient } from '../support/dns-streams.ts';
import { startFakeUpstream, type FakeUpstream } from '../support/fake-upstream.ts';
import { GUEST, KS1, KS2, STAFF, STRANGER, startGateway, type TestGateway } from '../support/gateway.ts';
import { parsePrometheus, total, type Family } from '../support/prometheus.ts';
import { fetchFrom } from '../support/web-client.ts';

const UNSERVED = '127.0.0.77';
const EXEMPT = ['127.0.0.1', KS1, KS2, STAFF, GUEST];

let upstream: FakeUpstream;
let dead: number;
let gateway: TestGateway;

const dns = () => ({
  upstreams: [`127.0.0.1:${upstream.port}`],
  forward: { 'dead.example': [`127.0.0.1:${dead}`] },
  serve: ['127.0.0.0/28'],
  rate_limit: { qps: 1, exempt: EXEMPT },
});

/** A port that nobody listens on. */
async function closedPort(): Promise<number> {
  const socket = dgram.createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  await new Promise<void>((resolve) => socket.close(() => resolve()));
  return port;
}

beforeAll(async () => {
  upstream = await startFakeUpstream();
  dead = await closedPort();
  const any = () => ['127.0.0.1:0'];
  gateway = await startGateway({
    upstream: upstream.port,
    files: { 'dns.crt': testCertificate, 'dns.key': testKey },
    gateway: {
      dns: dns(),
      listen: { dns: any(), dot: any(), doh: any(), proxy: any(), web: any() },
      tls: { cert: 'dns.crt', key: 'dns.key', host: 'dns.test' },
    },
  });
});
afterAll(async () => {
  await gateway?.dispose();
  await upstream?.close();
});

async function scrape(): Promise<ReadonlyMap<string, Family>> {
  const answer = await fetchFrom(`http://127.0.0.1:${gateway.web}/metrics`);
  expect(answer.headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8');
  return parsePrometheus(answer.body);
}

/** The figures once the thread has told of so many queries, and none of them waits. */
const after = (queries: number): Promise<ReadonlyMap<string, Family>> =>
  eventually(async () => {
    const seen = await scrape();
    const told = total(seen, 'schoolgate_dns_queries_total');
    if (told > queries) throw new Error(`${told} queries were counted, not ${queries}`);
    return told === queries && total(seen, 'schoolgate_dns_waiting') === 0 ? seen : null;
  }, 10_000);

const query = (name: string, type = 'A', id = 7): Buffer =>
  packet.encode({
    type: 'query',
    id,
    flags: packet.RECURSION_DESIRED,
    questions: [{ type: type as 'A', name, class: 'IN' }],
  });

/** Sends datagrams from one address and waits for so many answers. */
async function send(from: string, packets: readonly Uint8Array[], answers: number): Promise<void> {
  const socket = dgram.createSocket('udp4');
  socket.bind(0, from);
  await once(socket, 'listening');
  let left = answers;
  const done = new Promise<void>((resolve) => {
    if (left === 0) resolve();
    socket.on('message', () => --left === 0 && resolve());
  });
  for (const one of packets)
    await new Promise((resolve) => socket.send(one, gateway.dns, '127.0.0.1', resolve));
  await done;
  socket.close();
}

const ask = (name: string, from: string) => askDns({ port: gateway.dns }, name, { from, timeoutMs: 10_000 });

describe('the metrics of a running gateway', () => {
  let sent = 0;

  it('rise by exactly the queries sent: blocked, allowed, cached, by every transport', async () => {
    for (const name of ['a', 'b', 'c', 'd']) await ask(`${name}.games.example`, KS2);
    for (const name of ['one.example', 'two.example', 'three.example']) await ask(name, KS2);
    for (const name of ['one.example', 'two.example']) await ask(name, STAFF);
    const tcp = tcpClient(gateway.dns, KS2);
    tcp.socket.write(framed(query('games.example'), query('one.example', 'A', 8)));
    await tcp.until(2);
    const dot = dotClient(gateway.dot);
    dot.socket.write(
      framed(query('one.example'), query('two.example', 'A', 8), query('three.example', 'A', 9)),
    );
    await dot.until(3);
    const doh = dohClient(gateway.doh);
    expect((await doh.post(query('four.example'))).status).toBe(200);
    sent = 4 + 3 + 2 + 2 + 3 + 1;
    const seen = await after(sent);
    const of = (name: string, labels: Record<string, string> = {}): number =>
      total(seen, `schoolgate_${name}`, labels);
    expect(['udp', 'tcp', 'dot', 'doh'].map((transport) => of('dns_queries_total', { transport }))).toEqual([
      9, 2, 3, 1,
    ]);
    // The address of the test itself belongs to nobody whom the policy knows: all is blocked there.
    expect(of('dns_answers_total', { verdict: 'block' })).toBe(4 + 1 + 3 + 1);
    expect(of('dns_answers_total', { verdict: 'allow' })).toBe(3 + 2 + 1);
    expect(of('dns_answers_total')).toBe(sent);
    expect(of('dns_cache_misses_total')).toBe(3);
    expect(of('dns_cache_hits_total')).toBe(3);
    expect(of('dns_cache_entries')).toBe(3);
    expect(of('dns_udp_sent_total')).toBe(9);
    for (const transport of ['tcp', 'dot', 'doh']) expect(of('dns_connections_open', { transport })).toBe(1);
    expect(of('dns_tls_handshakes_total')).toBe(2);
    expect(of('dns_turned_away_total')).toBe(0);
    tcp.socket.destroy();
    dot.socket.destroy();
    doh.session.destroy();
  });

  it('count in the histogram of an upstream each answer that was waited for', async () => {
    const seen = await scrape();
    const of = { upstream: `127.0.0.1:${upstream.port}`, domain: '.', kind: 'udp', thread: 'dns-0' };
    const name = 'schoolgate_upstream_latency_seconds';
    const misses = total(seen, 'schoolgate_dns_cache_misses_total');
    expect(total(seen, `${name}_count`, of)).toBe(misses);
    expect(total(seen, `${name}_bucket`, { ...of, le: '+Inf' })).toBe(misses);
    expect(total(seen, `${name}_sum`, of)).toBeGreaterThan(0);
    expect(total(seen, 'schoolgate_upstream_answers_total', of)).toBe(misses);
    expect(total(seen, 'schoolgate_upstream_up', of)).toBe(1);
  });

  it('tell apart why queries were turned away', async () => {
    const zone = query('one.example', 'AXFR');
    const broken = Buffer.concat([query('one.example').subarray(0, 20), Buffer.from([0xff])]);
    const response = query('one.example');
    response[2]! |= 0x80;
    await send(KS2, [zone, broken, query('x.local')], 3);
    await send(KS2, [response], 0);
    await send(UNSERVED, [query('one.example')], 1);
    sent += 5;
    const seen = await after(sent);
    const away = (reason: string): number => total(seen, 'schoolgate_dns_turned_away_total', { reason });
    expect([away('kind'), away('unserved'), away('silent'), away('rate')]).toEqual([1, 1, 1, 0]);
    expect(total(seen, 'schoolgate_dns_malformed_total')).toBe(1);
    expect(total(seen, 'schoolgate_dns_answers_total', { verdict: 'special' })).toBe(1);
  });

  it('show an upstream that is dead, and the queries that failed by it', async () => {
    const names = ['a', 'b', 'c', 'd'].map((name) => `${name}.dead.example`);
    for (const answer of await Promise.all(names.map((name) => ask(name, KS2))))
      expect(answer.rcode).toBe('SERVFAIL');
    sent += names.length;
    const seen = await after(sent);
    const of = { upstream: `127.0.0.1:${dead}`, domain: 'dead.example', thread: 'dns-0' };
    expect(total(seen, 'schoolgate_upstream_up', of)).toBe(0);
    expect(total(seen, 'schoolgate_upstream_failures_total', of)).toBeGreaterThanOrEqual(3);
    expect(total(seen, 'schoolgate_upstream_latency_seconds_count', of)).toBe(0);
    expect(total(seen, 'schoolgate_dns_answers_total', { verdict: 'failed' })).toBe(4);
  });

  it('show the rate limit when it bites, and not whom', async () => {
    const packets = Array.from({ length: 40 }, () => query('games.example'));
    // Some at once, and at least one more that is told to come back by TCP.
    await send(STRANGER, packets, 3);
    sent += packets.length;
    const seen = await after(sent);
    const away = (reason: string): number => total(seen, 'schoolgate_dns_turned_away_total', { reason });
    const blocked = total(seen, 'schoolgate_dns_answers_total', { verdict: 'block' }) - 9;
    expect(blocked + away('rate') + away('flood')).toBe(packets.length);
    expect(away('rate')).toBeGreaterThanOrEqual(1);
    expect(total(seen, 'schoolgate_dns_limited_clients')).toBe(1);
    const line = await gateway.waitForLog((one) => one['event'] === 'rate-limited');
    expect(line).toMatchObject({ client: STRANGER, clients: 1 });
  });

  it('every query ended in one thing and was counted once', async () => {
    const seen = await scrape();
    const ends = ['answers', 'turned_away', 'malformed', 'internal_errors'].map((name) =>
      total(seen, `schoolgate_dns_${name}_total`),
    );
    expect(ends.reduce((sum, count) => sum + count, 0)).toBe(sent);
  });

  it('schoolgate status tells it to a technician, the clients included; /metrics and /health name none', async () => {
    const { code, stdout } = await gateway.cli(['status', '--json']);
    expect(code).toBe(0);
    const { figures } = JSON.parse(stdout);
    expect(figures.dns.queries).toBe(sent);
    expect(figures.dns.queriesPerSecond).toBeGreaterThan(0);
    expect(figures.dns.threads).toMatchObject([{ thread: 'dns-0', alive: true, restarts: 0 }]);
    expect(figures.limited).toMatchObject({ clients: 1, top: [{ client: STRANGER }] });
    expect(figures.upstreams).toMatchObject([
      { name: `127.0.0.1:${upstream.port}`, domain: '.', up: true, p50Ms: expect.any(Number) },
      { name: `127.0.0.1:${dead}`, domain: 'dead.example', up: false, downIn: ['dns-0'], p50Ms: null },
    ]);
    const text = (await gateway.cli(['status'])).stdout;
    expect(text).toContain('DOWN');
    expect(text).toContain(STRANGER);
    for (const path of ['/metrics', '/health', '/api/v1/health']) {
      const { body } = await fetchFrom(`http://127.0.0.1:${gateway.web}${path}`);
      for (const client of [KS2, STAFF, STRANGER, UNSERVED, 'games.example', 'one.example'])
        expect([path, client, body.includes(client)]).toEqual([path, client, false]);
    }
    expect((await fetchFrom(`http://127.0.0.1:${gateway.web}/api/v1/status`)).status).toBe(401);
  });

  it('go on over a changed configuration, and begin at 0 with their threads', async () => {
    gateway.writeGateway({ dns: { ...dns(), block: 'null' } });
    gateway.signal('SIGHUP');
    await gateway.waitForLog((line) => line.msg === 'reloaded');
    await ask('games.example', KS2);
    sent += 1;
    const seen = await after(sent);
    expect(total(seen, 'schoolgate_dns_answers_total', { verdict: 'failed' })).toBe(4);
    expect(await gateway.stop()).toBe(0);
    await gateway.start();
    await ask('games.example', KS2);
    const fresh = await after(1);
    expect(total(fresh, 'schoolgate_dns_answers_total')).toBe(1);
    expect(total(fresh, 'schoolgate_thread_restarts_total')).toBe(0);
    expect(total(fresh, 'schoolgate_dns_limited_clients')).toBe(0);
  });

  it('are all in docs/metrics.md, with the same type', async () => {
    const text = readFileSync(new URL('../../docs/metrics.md', import.meta.url), 'utf8');
    const seen = await scrape();
    const own = [...seen].filter(([name]) => name.startsWith('schoolgate_'));
    expect(own.length).toBeGreaterThan(80);
    for (const [name, { type }] of own) expect(text).toContain(`| \`${name}\` | ${type} |`);
  });
});
