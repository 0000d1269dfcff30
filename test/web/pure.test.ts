import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readTarget } from '../../src/web/explain-target.ts';
import { escapeHtml, hostOf } from '../../src/web/host-guard.ts';
import { createSignInLimit } from '../../src/web/sign-in-limit.ts';
import { formatTime, parseTime } from '../../src/web/times.ts';

describe('what to explain', () => {
  it.each([
    ['bbc.co.uk', 'bbc.co.uk', null, 'dns'],
    [' BBC.co.uk. ', 'bbc.co.uk', null, 'dns'],
    ['bbc.co.uk:443', 'bbc.co.uk', null, 'connect'],
    ['bbc.co.uk:8080', 'bbc.co.uk', null, 'dns'],
    ['bbc.co.uk/news', 'bbc.co.uk', null, 'dns'],
    ['http://bbc.co.uk/news?q=1#x', 'bbc.co.uk', '/news', 'http'],
    ['HTTPS://user:pw@bbc.co.uk', 'bbc.co.uk', '/', 'connect'],
    ['http://bücher.example', 'xn--bcher-kva.example', '/', 'http'],
    ['10.0.0.1', '10.0.0.1', null, 'http'],
    ['http://0x0a000001/', '10.0.0.1', '/', 'http'],
    ['2001:DB8:0::1', '2001:db8::1', null, 'http'],
    ['https://[2001:db8::1]:8443/', '2001:db8::1', '/', 'connect'],
    ['a_b.example.com', 'a_b.example.com', null, 'dns'],
  ])('%s', (text, host, path, channel) => {
    expect(readTarget(text)).toEqual({ host, path, channel });
  });

  it.each([
    '',
    ' ',
    'ftp://x.example',
    'file:///etc/passwd',
    'http://',
    'a..b',
    'a b',
    '[::1',
    'x:99999',
    '.',
    'http://%zz',
  ])('not %j', (text) => {
    expect(readTarget(text)).toBeNull();
  });

  it('never throws', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 80 }), (text) => void readTarget(text)));
    fc.assert(fc.property(fc.webUrl(), (text) => readTarget(text) !== null));
  });
});

describe('times', () => {
  it.each([
    ['2026-09-07T09:00:00Z', Date.UTC(2026, 8, 7, 9)],
    ['2026-09-07T10:00:00.250+01:00', Date.UTC(2026, 8, 7, 9, 0, 0, 250)],
    ['2026-09-07 09:00:00z', Date.UTC(2026, 8, 7, 9)],
    ['2028-02-29T00:00:00Z', Date.UTC(2028, 1, 29)],
  ])('%s', (text, at) => {
    expect(parseTime(text)).toBe(at);
  });

  it.each([
    '',
    'now',
    '2026-09-07',
    '2026-09-07T09:00:00',
    '2026-09-07T09:00Z',
    '2026-02-29T00:00:00Z',
    '2026-13-01T00:00:00Z',
    '2026-00-01T00:00:00Z',
    '2026-01-00T00:00:00Z',
    '2026-01-01T24:00:00Z',
    '2026-01-01T00:00:00+24:00',
    '1700000000000',
  ])('not %j', (text) => {
    expect(parseTime(text)).toBeNull();
  });

  it('go both ways', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 253_402_300_799_999 }), (at) => {
        expect(parseTime(formatTime(at))).toBe(at);
      }),
    );
  });
});

describe('hosts and HTML', () => {
  it('hostOf takes any text without throwing, and what it gives is plain', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.domain(), fc.ipV6()), (text) => {
        const host = hostOf(text);
        expect(host === null || /^[a-z0-9._:-]+$/.test(host)).toBe(true);
      }),
    );
    expect(hostOf(undefined)).toBeNull();
  });

  it('escapeHtml leaves nothing that opens a tag or ends an attribute', () => {
    fc.assert(fc.property(fc.string(), (text) => !/[<>"']/.test(escapeHtml(text))));
  });
});

describe('the sign-in limit', () => {
  it('is bounded in memory and forgives after a minute, also when the clock goes back', () => {
    const limit = createSignInLimit({ perAccount: 2, perAddress: 3 });
    const at = 1_000_000;
    expect([limit('a', 'x', at), limit('a', 'x', at), limit('a', 'X', at)]).toEqual([0, 0, 60]);
    expect([limit('a', 'y', at), limit('a', 'z', at), limit('b', 'x', at)]).toEqual([0, 60, 0]);
    expect(limit('a', 'x', at + 59_999)).toBe(1);
    expect(limit('a', 'x', at + 60_000)).toBe(0);
    expect(limit('a', 'x', at - 1)).toBe(0);
    for (let i = 0; i < 30_000; i += 1) limit(`c${i}`, 'x', at);
    expect(limit('c29999', 'y', at)).toBe(0);
  });
});
