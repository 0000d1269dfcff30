import { describe, expect, it } from 'vitest';
import { createTunnelGuard } from '../../src/dns/tunnel-guard.ts';
import { createQuery, parseQuery } from '../../src/dns/wire.ts';
import { numbers } from './mutate.ts';

const TXT = 16;
const NULL = 10;
const START = 1_800_000_000_000;

/** A query as bytes; names are made here by the thousand, so without another library. */
function packetOf(name: string, type: number): Uint8Array {
  const bytes = [0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
  for (const label of name.split('.')) bytes.push(label.length, ...Buffer.from(label, 'latin1'));
  bytes.push(0, type >> 8, type & 0xff, 0, 1);
  return Uint8Array.from(bytes);
}

function watch(over: { action?: 'limit' | 'log' | 'off'; exempt?: string[] } = {}) {
  const guard = createTunnelGuard({ action: 'limit', exempt: [], seed: 0x1234567, ...over });
  const query = createQuery();
  const told = { pass: 0, flag: 0, limit: 0 };
  return {
    guard,
    told,
    at: START,
    ask(name: string, { type = 1, from = '10.0.0.1' } = {}) {
      const packet = packetOf(name, type);
      if (parseQuery(packet, packet.length, query) !== 0) throw new Error(`not a question: ${name}`);
      const pace = guard.judge(packet, query, from, this.at);
      told[pace]++;
      return pace;
    },
  };
}

const next = numbers(7);
const text = (length: number, alphabet: string): string =>
  Array.from({ length }, () => alphabet[next() % alphabet.length]).join('');
const BASE32 = 'abcdefghijklmnopqrstuvwxyz012345';
const HEX = '0123456789abcdef';
/** Data as labels of 57 bytes and less. */
const labels = (data: string): string => (data.match(/.{1,57}/g) ?? []).join('.');

/** Asks `make(i)` at this pace until it is limited; how many got through, of `most`. */
function stream(rate: number, most: number, make: (i: number) => string, type = 1) {
  const it = watch();
  let flaggedAt = -1;
  for (let i = 0; i < most; i++) {
    it.at = START + Math.floor((i * 1000) / rate);
    const pace = it.ask(make(i), { type });
    if (pace === 'flag' && flaggedAt < 0) flaggedAt = i;
    if (pace === 'limit') return { through: i, flaggedAt };
  }
  return { through: most, flaggedAt };
}

describe('F12 data carried in DNS', () => {
  it('long names full of data are limited after a few dozen, at one a second or five hundred', () => {
    for (const rate of [1, 20, 500]) {
      const { through, flaggedAt } = stream(
        rate,
        5_000,
        () => `${labels(text(200, BASE32))}.t.example.com`,
        NULL,
      );
      expect(through).toBeLessThan(70);
      expect(flaggedAt).toBeGreaterThan(0);
      expect(flaggedAt).toBeLessThan(through);
    }
  });

  it('short polls in hex, one a second, are flagged within three minutes and limited within six', () => {
    const { through, flaggedAt } = stream(1, 3_600, () => `${text(18, HEX)}.c2.example.net`, TXT);
    expect(flaggedAt).toBeLessThan(180);
    expect(through).toBeLessThan(400);
  });

  it('data in many short labels, and raw bytes, are no way round it', () => {
    const short = stream(
      5,
      5_000,
      () =>
        `${text(80, BASE32)
          .match(/.{1,5}/g)!
          .join('.')}.example.org`,
    );
    expect(short.through).toBeLessThan(200);
    const raw = stream(5, 5_000, () => `${text(30, '\xe1\xf2\x03k\x9c')}.example.org`);
    expect(raw.through).toBeLessThan(400);
    const country = stream(5, 5_000, () => `${text(50, BASE32)}.abc.io`);
    expect(country.through).toBeLessThan(300);
  });

  it('much TXT and NULL under one domain is too, however the names look', () => {
    const { through } = stream(10, 5_000, (i) => `n${i}.example.com`, TXT);
    expect(through).toBeLessThanOrEqual(501);
    expect(through).toBeGreaterThan(400);
  });

  it('a limit is for one client and one domain, and ends when the tunnel does', () => {
    const it = watch();
    while (it.ask(`${labels(text(200, HEX))}.t.example.com`) !== 'limit');
    const carrying = (domain: string) => `${labels(text(200, HEX))}.t.${domain}`;
    expect(it.ask(carrying('example.com'))).toBe('limit');
    expect(it.ask(carrying('example.org'))).toBe('pass');
    expect(it.ask(carrying('example.com'), { from: '10.0.0.2' })).toBe('pass');
    it.at += 10 * 60_000;
    expect(it.ask(carrying('example.com'))).toBe('pass');
    expect(it.guard.stats()).toMatchObject({ tunnel_flagged: 1, tunnel_limited: 2 });
  });

  it('a site below whose name somebody else carries data goes on', () => {
    const it = watch();
    while (it.ask(`${labels(text(200, HEX))}.t.example.com`) !== 'limit');
    for (const name of ['www.example.com', 'example.com', 'static.img.example.com'])
      expect(it.ask(name)).toBe('pass');
  });

  it('reverse names carry nothing, and nothing else may be carried below them', () => {
    const it = watch();
    for (let i = 0; i < 2000; i++)
      expect(it.ask(`${i & 255}.${i >> 8}.0.10.in-addr.arpa`, { type: 12 })).toBe('pass');
    let limited = 0;
    for (let i = 0; i < 1500; i++)
      if (it.ask(`${labels(text(112, HEX))}.77.77.77.in-addr.arpa`, { type: 16 }) === 'limit') limited++;
    expect(limited).toBeGreaterThan(1000);
  });

  it('a name asked again carries nothing new', () => {
    const it = watch();
    const names = Array.from({ length: 100 }, () => `k8s-${text(30, HEX)}.elb.eu-west-1.example.com`);
    for (let round = 0; round < 20; round++) {
      it.at += 25_000;
      for (const name of names) it.ask(name);
    }
    expect(it.told.limit).toBe(0);
  });

  it('log flags and never limits, off does neither, exempt names are not counted', () => {
    const flood = (it: ReturnType<typeof watch>) => {
      for (let i = 0; i < 1_000; i++) it.ask(`${text(60, HEX)}.check.example.com`, { type: TXT });
      return it.told;
    };
    expect(flood(watch({ action: 'log' }))).toMatchObject({ flag: 1, limit: 0 });
    expect(flood(watch({ action: 'off' }))).toEqual({ pass: 1_000, flag: 0, limit: 0 });
    expect(flood(watch({ exempt: ['check.example.com'] }))).toEqual({ pass: 1_000, flag: 0, limit: 0 });
    expect(flood(watch({ exempt: ['other.example.com'] })).limit).toBeGreaterThan(0);
  });
});

describe('what a class asks for is left alone', () => {
  it('reverse names, block lists of mail servers, checks by anti-virus software', () => {
    const it = watch();
    for (let i = 0; i < 5_000; i++) {
      it.at += 20;
      it.ask(`${i % 256}.${(i >> 8) % 256}.2.10.in-addr.arpa`, { type: 12 });
      it.ask(`${text(32, HEX).split('').join('.')}.ip6.arpa`, { type: 12 });
      it.ask(`${i % 256}.2.0.192.zen.spamhaus.org`, { type: TXT });
      it.ask(`${text(50, BASE32)}.w.03.s.sophosxl.net`, { type: TXT });
      it.ask(`${text(40, HEX)}.avts.mcafee.com`);
    }
    expect(it.told).toMatchObject({ flag: 0, limit: 0 });
  });

  it('content networks, at ten times what a busy page of a class asks for', () => {
    const it = watch();
    for (let i = 0; i < 30; i++) {
      it.at += 20_000;
      for (let n = 0; n < 4; n++) {
        it.ask(`d${text(13, BASE32)}.cloudfront.net`);
        it.ask(`rr${n}---sn-${text(8, BASE32)}.googlevideo.com`);
        it.ask(`e${1000 + (next() % 9000)}.dscb.akamaiedge.net`);
        it.ask(`ipv4-c0${n}-lhr00${n}-ix.1.oca.nflxvideo.net`);
        it.ask(`app-${text(10, HEX)}.z0${n}.azurefd.net`);
      }
    }
    expect(it.told).toMatchObject({ flag: 0, limit: 0 });
  });
});

describe('domains that are new here', () => {
  it('a client that asks for thousands of them is flagged, then limited; known ones stay open', () => {
    const it = watch();
    for (let i = 0; i < 200; i++) it.ask(`www.known${i}.example`, { from: '10.0.0.9' });
    for (let i = 0; i < 2_000; i++) it.ask(`${text(10, BASE32)}.test`);
    expect(it.told.flag).toBe(1);
    // a set that forgets names takes one for known now and then
    expect(it.told.limit).toBeGreaterThan(1_080);
    expect(it.told.limit).toBeLessThanOrEqual(1_100);
    for (let i = 0; i < 200; i++) expect(it.ask(`www.known${i}.example`)).toBe('pass');
    expect(it.ask('one-more.test')).toBe('limit');
    expect(it.ask('one-more.test')).toBe('limit');
    it.at += 60_000;
    expect(it.ask('one-more.test')).toBe('pass');
  });

  it('memory stays bounded under a flood of clients and domains', () => {
    const it = watch();
    const before = process.memoryUsage().arrayBuffers + process.memoryUsage().heapUsed;
    for (let i = 0; i < 40_000; i++) {
      it.at += 1;
      it.ask(`${text(44, HEX)}.d${i}.test`, { from: `10.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}` });
    }
    const after = process.memoryUsage().arrayBuffers + process.memoryUsage().heapUsed;
    expect(after - before).toBeLessThan(64 * 1024 * 1024);
  }, 60_000);
});
