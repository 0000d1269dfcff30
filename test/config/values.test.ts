import { describe, expect, it } from 'vitest';
import * as values from '../../src/config/values.ts';
import { parseForwardUpstream, parseUpstreamEntry } from '../../src/config/upstreams.ts';
import type { Parsed } from '../../src/config/values.ts';

const valueOf = (parsed: Parsed<unknown>): unknown => (parsed.ok ? parsed.value : null);

const TABLES: Record<string, [(text: string) => Parsed<unknown>, Record<string, unknown>]> = {
  durations: [
    values.parseDuration,
    {
      '90s': 90_000,
      '30m': 1_800_000,
      '12h': 43_200_000,
      '365d': 31_536_000_000,
      '0d': null,
      '365': null,
      '1.5d': null,
      '-1d': null,
      '1 d': null,
      '9999999d': null,
      '': null,
    },
  ],
  sizes: [
    values.parseSize,
    { '500MB': 5e8, '4GB': 4e9, '4gb': 4e9, '2TB': 2e12, '64KB': 64_000, '4': null, '4G': null, '0GB': null },
  ],
  'listen addresses': [
    values.parseListen,
    {
      '127.0.0.1:53': { address: '127.0.0.1', port: 53 },
      '0.0.0.0:0': { address: '0.0.0.0', port: 0 },
      '[::1]:53': { address: '::1', port: 53 },
      '[0:0:0:0:0:0:0:1]:53': { address: '::1', port: 53 },
      '::1:53': null,
      '[127.0.0.1]:53': null,
      '127.0.0.1': null,
      ':53': null,
      'localhost:53': null,
      '127.0.0.1:65536': null,
      '127.1:53': null,
      '127.0.0.1:-1': null,
    },
  ],
  networks: [
    values.parseNetwork,
    {
      '10.2.0.7': '10.2.0.7',
      '10.2.0.0/24': '10.2.0.0/24',
      '10.2.0.7/32': '10.2.0.7',
      '2001:DB8:0::/48': '2001:db8::/48',
      '::ffff:10.2.0.7': '10.2.0.7',
      '0.0.0.0/0': '0.0.0.0/0',
      '10.2.0.7/24': null,
      '10.2.0.0/33': null,
      '10.2.0/24': null,
      'fe80::1%eth0': null,
      '010.2.0.0': null,
      'example.org': null,
      '/': null,
    },
  ],
  names: [
    values.parseName,
    {
      'BBC.co.uk': 'bbc.co.uk',
      'bbc.co.uk.': 'bbc.co.uk',
      'münchen.example': 'xn--mnchen-3ya.example',
      '*.bbc.co.uk': null,
      '.bbc.co.uk': null,
      'https://bbc.co.uk/': null,
      'bbc.co.uk:443': null,
      'bad name': null,
      '': null,
    },
  ],
  'names or networks': [
    values.parseNameOrNetwork,
    {
      'inside.example': 'inside.example',
      '10.0.5.0/24': '10.0.5.0/24',
      '127.0.0.1': '127.0.0.1',
      'fd00::/8': 'fd00::/8',
      'http://inside.example/': null,
      '10.0.5/24': null,
    },
  ],
  'times of day': [
    values.parseClock,
    {
      '00:00': 0,
      '12:30': 750,
      '23:59': 1439,
      '24:00': 1440,
      '24:01': null,
      '9:00': null,
      '12:60': null,
      '12.30': null,
    },
  ],
  moments: [
    values.parseMoment,
    {
      '2026-07-21T16:00+01:00': Date.UTC(2026, 6, 21, 15),
      '2026-01-09T09:00Z': Date.UTC(2026, 0, 9, 9),
      '2028-02-29T09:00:30Z': Date.UTC(2028, 1, 29, 9, 0, 30),
      '2026-02-29T09:00Z': null,
      '2026-13-01T09:00Z': null,
      '2026-01-09T24:00Z': null,
      '2026-01-09': null,
      '2026-01-09T09:00': null,
      tomorrow: null,
    },
  ],
  zones: [
    values.parseZone,
    { 'Europe/London': 'Europe/London', UTC: 'UTC', '+01:00': null, 'Europe/Lodnon': null, '': null },
  ],
  identifiers: [
    values.parseIdentifier,
    {
      ks1: 'ks1',
      'year-2_b': 'year-2_b',
      KS1: null,
      '-a': null,
      'a b': null,
      '': null,
      [`a${'b'.repeat(48)}`]: null,
    },
  ],
  'IPv4 addresses': [values.parseV4, { '10.0.0.1': '10.0.0.1', '::1': null, '10.0.0.1/32': null }],
  'IPv6 addresses': [values.parseV6, { 'FD00::1': 'fd00::1', '10.0.0.1': null }],
  texts: [values.parseText, { ' a b ': 'a b', '  ': null, 'a\nb': null, ['x'.repeat(121)]: null }],
  upstreams: [
    parseUpstreamEntry,
    {
      system: 'system',
      '9.9.9.9': { address: '9.9.9.9', port: 53 },
      '9.9.9.9:5353': { address: '9.9.9.9', port: 5353 },
      '[2620:fe::fe]:53': { address: '2620:fe::fe', port: 53 },
      'tls://9.9.9.9': { kind: 'tls', host: '9.9.9.9', port: 853, path: '', addresses: ['9.9.9.9'] },
      'https://dns.example/q': { kind: 'https', host: 'dns.example', port: 443, path: '/q', addresses: [] },
      'quic://dns.example': null,
      'tls://dns.example/path': null,
      'dns.example': null,
    },
  ],
  'upstreams of a name': [
    parseForwardUpstream,
    { '10.0.0.2': { address: '10.0.0.2', port: 53 }, system: null },
  ],
};

describe.each(Object.entries(TABLES))('%s', (_, [parse, cases]) => {
  it.each(Object.entries(cases))('%j', (text, expected) => {
    const parsed = parse(text);
    expect(valueOf(parsed)).toEqual(expected);
    if (!parsed.ok) {
      expect(parsed.problem).not.toBe('');
      expect(parsed.advice).toMatch(/^write/);
    }
  });
});

describe('advice', () => {
  it.each([
    [values.parseNetwork('10.2.0.7/24'), 'write 10.2.0.0/24 for the network or 10.2.0.7 for the one address'],
    [values.parseName('https://www.bbc.co.uk/x'), 'write www.bbc.co.uk (it covers all names below it too)'],
    [values.parseName('*.bbc.co.uk'), 'write bbc.co.uk (it covers all names below it too)'],
  ])('names the very thing to write', (parsed, advice) => {
    expect(parsed).toMatchObject({ ok: false, advice });
  });
});
