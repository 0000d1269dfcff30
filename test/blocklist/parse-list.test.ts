// List formats: what each line yields, what is skipped and why. Tables per format.

import { describe, expect, it } from 'vitest';
import type { ListFormat, ListSource } from '../../src/blocklist/types.ts';
import { parse } from './parse.ts';

/** One line: its entries, or the reasons for skipping, or nothing for a comment. */
function one(format: ListFormat, line: string, more: Partial<ListSource> = {}): string {
  const { entries, report } = parse(format, [line], more);
  return [...entries, ...Object.keys(report.reasons).map((why) => `skip: ${why}`)].join(', ');
}

const PATH = 'skip: a path: only part of a site';
const PORT = 'skip: a port: only part of a site';
const BAD = 'skip: not a domain name';
const SINGLE = 'skip: a single label, which would cover a whole top-level domain';
const SEVERAL = 'skip: more than one thing on the line';
const LOCAL = 'skip: a local name';
const SETTING = 'skip: a setting, not an entry';
const FORWARD = 'skip: forwarded to a server, not blocked';
const COSMETIC = 'skip: a cosmetic rule';
const OPTIONS = 'skip: a rule with options';
const PATTERN = 'skip: a pattern';
const REGEX = 'skip: a regular expression';
const TRIGGER = 'skip: an RPZ trigger or action that is not a blocked name';
const NO_RANGE = 'skip: not an address or a range of addresses';
const WIDE = 'skip: a range so wide that it takes in much of the internet';
const OUTSIDE = 'skip: outside the zone';

describe('domains', () => {
  it.each([
    ['example.com', 'suffix example.com'],
    ['  Example.COM.\t\r', 'suffix example.com'],
    ['\ufeffexample.com', 'suffix example.com'],
    ['example.com # why', 'suffix example.com'],
    ['example.com   #Tag - (words, more)', 'suffix example.com'],
    ['example.com#why', 'suffix example.com'],
    ['example.com\t; why', 'suffix example.com'],
    ['bücher.example', 'suffix xn--bcher-kva.example'],
    ['пример.рф # why', 'suffix xn--e1afmkfd.xn--p1ai'],
    ['.example.com', 'suffix example.com'],
    ['.zip', 'suffix zip'],
    ['.zip  #Archive', 'suffix zip'],
    ['*.example.com', 'suffix example.com'],
    ['*.zip', 'suffix zip'],
    ['||example.com^', 'suffix example.com'],
    ['@@||example.com^', 'except-suffix example.com'],
    ['0.0.0.0 example.com', 'exact example.com'],
    ['http://example.com', 'suffix example.com'],
    ['https://Example.com/', 'suffix example.com'],
    ['https://example.com:443/', 'suffix example.com'],
    ['example.com:80', 'suffix example.com'],
    ['192.0.2.7', 'exact 192.0.2.7'],
    ['2001:DB8:0::1', 'exact 2001:db8::1'],
    ['[2001:db8::1]', 'exact 2001:db8::1'],
    ['com', SINGLE],
    ['intranet', SINGLE],
    ['co.uk', 'exact co.uk'],
    ['.co.uk', 'suffix co.uk'],
    ['*.github.io', 'suffix github.io'],
    ['github.io # hosting', 'exact github.io'],
    ['a.github.io', 'suffix a.github.io'],
    ['', ''],
    ['   ', ''],
    ['# example.com', ''],
    ['! example.com', ''],
    ['; example.com', ''],
    ['// example.com', ''],
    ['example.com/page', PATH],
    ['http://example.com/?q', PATH],
    ['example.com:8080', PORT],
    ['user@example.com', BAD],
    ['example.com other.com', SEVERAL],
    ['example.com##.banner', COSMETIC],
    ['ex*mple.com', PATTERN],
    ['*', PATTERN],
    ['/ads[0-9]+/', REGEX],
    ['=====', BAD],
    ['exam\u0000ple.com', BAD],
    ['exam\ufffdple.com', BAD],
    ['<!DOCTYPE html>', SEVERAL],
    [`${'a'.repeat(64)}.com`, BAD],
    ['.', BAD],
    ['1.2.3', BAD],
    [`example.com #${'x'.repeat(5000)}`, 'skip: line too long'],
  ])('%j', (line, expected) => {
    expect(one('domains', line)).toBe(expected);
    expect(one('squidguard', line)).toBe(expected);
    expect(one('wildcard', line)).toBe(expected);
  });
});

describe('ips', () => {
  it.each([
    ['192.0.2.7', 'range 192.0.2.7'],
    ['  192.0.2.7\t\r', 'range 192.0.2.7'],
    ['\ufeff192.0.2.7', 'range 192.0.2.7'],
    ['192.0.2.7 # one', 'range 192.0.2.7'],
    ['192.0.2.7#one', 'range 192.0.2.7'],
    ['192.0.2.0/24 ; SBL1', 'range 192.0.2.0-192.0.2.255'],
    ['192.0.2.0/24;SBL1', 'range 192.0.2.0-192.0.2.255'],
    ['192.0.2.77/24', 'range 192.0.2.0-192.0.2.255'],
    ['192.0.2.7/32', 'range 192.0.2.7'],
    ['192.0.0.0/8', 'range 192.0.0.0-192.255.255.255'],
    ['192.0.2.1-192.0.2.9', 'range 192.0.2.1-192.0.2.9'],
    ['192.0.2.1 - 192.0.2.9', 'range 192.0.2.1-192.0.2.9'],
    ['0.0.0.0-0.255.255.255', 'range 0.0.0.0-0.255.255.255'],
    ['255.255.255.255', 'range 255.255.255.255'],
    ['2001:DB8::7', 'range 2001:db8::7'],
    ['2001:db8::/32', 'range 2001:db8::-2001:db8:ffff:ffff:ffff:ffff:ffff:ffff'],
    ['2001:db8::1-2001:db8::9', 'range 2001:db8::1-2001:db8::9'],
    ['2001:db8::ffff/127', 'range 2001:db8::fffe-2001:db8::ffff'],
    ['::ffff:192.0.2.7', 'range 192.0.2.7'],
    ['::ffff:192.0.2.0/120', 'range 192.0.2.0-192.0.2.255'],
    ['::ffff:c000:207', 'range 192.0.2.7'],
    ['# 192.0.2.7', ''],
    ['; 192.0.2.7', ''],
    ['// 192.0.2.7', ''],
    ['', ''],
    ['192.0.2', NO_RANGE],
    ['192.0.2.256', NO_RANGE],
    ['192.0.2.07', NO_RANGE],
    ['192.0.2.7/33', NO_RANGE],
    ['192.0.2.7/', NO_RANGE],
    ['192.0.2.7/ 24', NO_RANGE],
    ['192.0.2.7/-1', NO_RANGE],
    ['192.0.2.9-192.0.2.1', NO_RANGE],
    ['192.0.2.1-', NO_RANGE],
    ['192.0.2.1-2001:db8::1', NO_RANGE],
    ['192.0.2.1-192.0.2.2-192.0.2.3', NO_RANGE],
    ['2001:db8::/129', NO_RANGE],
    ['2001:db8::1::2', NO_RANGE],
    ['2001:db8:', NO_RANGE],
    ['fe80::1%eth0', NO_RANGE],
    ['::ffff:192.0.2.7/32', NO_RANGE],
    ['example.com', NO_RANGE],
    ['0.0.0.0 example.com', NO_RANGE],
    ['192.0.2.7 192.0.2.8', NO_RANGE],
    ['192.0.2.7:80', NO_RANGE],
    ['0.0.0.0/0', WIDE],
    ['128.0.0.0/7', WIDE],
    ['1.0.0.0-9.0.0.0', WIDE],
    ['::/0', WIDE],
    ['2000::/3', WIDE],
    ['2000::-3fff::', WIDE],
    [`192.0.2.7 #${'x'.repeat(5000)}`, 'skip: line too long'],
  ])('%j', (line, expected) => {
    expect(one('ips', line)).toBe(expected);
    for (const match of ['suffix', 'exact'] as const) expect(one('ips', line, { match })).toBe(expected);
  });

  it('tells line and text of what it left out', () => {
    const { report } = parse('ips', ['192.0.2.1', 'x', '# c', '0.0.0.0/0']);
    expect(report).toMatchObject({ format: 'ips', lines: 4, taken: 1, skipped: 2 });
    expect(report.examples).toEqual([
      { line: 2, text: 'x', why: 'not an address or a range of addresses' },
      { line: 4, text: '0.0.0.0/0', why: 'a range so wide that it takes in much of the internet' },
    ]);
  });
});

describe('hosts', () => {
  it.each([
    ['0.0.0.0 example.com', 'exact example.com'],
    ['127.0.0.1\texample.com', 'exact example.com'],
    ['0 example.com', 'exact example.com'],
    [':: example.com', 'exact example.com'],
    ['10.0.0.9 example.com', 'exact example.com'],
    ['0.0.0.0 a.example b.example  c.example # three', 'exact a.example, exact b.example, exact c.example'],
    ['0.0.0.0 Example.COM.', 'exact example.com'],
    ['0.0.0.0 example.com#why', 'exact example.com'],
    ['0.0.0.0 co.uk', 'exact co.uk'],
    ['example.com', 'exact example.com'],
    ['127.0.0.1 localhost', LOCAL],
    ['127.0.0.1 localhost.localdomain', LOCAL],
    ['::1 ip6-localhost ip6-loopback', LOCAL],
    ['fe80::1%lo0 localhost', LOCAL],
    ['255.255.255.255 broadcasthost', LOCAL],
    ['0.0.0.0 0.0.0.0', LOCAL],
    ['0.0.0.0 198.51.100.4', 'exact 198.51.100.4'],
    ['0.0.0.0 a.example to', `exact a.example, ${SINGLE}`],
    ['0.0.0.0', BAD],
    ['0.0.0.0 # nothing', BAD],
    ['a.example b.example', SEVERAL],
    ['0.0.0.0 a.example/x', PATH],
    ['0.0.0.0 a.example\u0000b.example', BAD],
    ['# 0.0.0.0 example.com', ''],
  ])('%j', (line, expected) => expect(one('hosts', line)).toBe(expected));

  it('counts every name of a line', () => {
    const { report } = parse('hosts', ['0.0.0.0 a.example b.example bad_/ localhost', '', '# c']);
    expect(report).toMatchObject({ lines: 3, taken: 2, skipped: 2, format: 'hosts' });
  });
});

describe('adblock', () => {
  it.each([
    ['||example.com^', 'suffix example.com'],
    ['||EXAMPLE.com^|', 'suffix example.com'],
    ['||example.com', 'suffix example.com'],
    ['||example.com/', 'suffix example.com'],
    ['||example.com^*', 'suffix example.com'],
    ['||*.example.com^', 'suffix example.com'],
    ['||example.com^ # why', 'suffix example.com'],
    ['||example.com^$important', 'suffix example.com'],
    ['||example.com^$document,all', 'suffix example.com'],
    ['||zip^', 'suffix zip'],
    ['||co.uk^', 'suffix co.uk'],
    ['||192.0.2.7^', 'exact 192.0.2.7'],
    ['|example.com^', 'exact example.com'],
    ['example.com', 'exact example.com'],
    ['0.0.0.0 example.com # hosts line', 'exact example.com'],
    ['@@||example.com^', 'except-suffix example.com'],
    ['@@||example.com^$important', 'except-suffix example.com'],
    ['@@|example.com^', 'except-exact example.com'],
    ['! comment', ''],
    ['[Adblock Plus 2.0]', ''],
    ['# comment', ''],
    ['#### heading', ''],
    ['##.banner', COSMETIC],
    ['example.com##.banner', COSMETIC],
    ['example.com#@#.banner', COSMETIC],
    ['example.com#?#div:has(a)', COSMETIC],
    ['||example.com^$third-party', OPTIONS],
    ['||example.com^$document,script', OPTIONS],
    ['@@||example.com^$document', OPTIONS],
    ['||example.com/ads', PATH],
    ['||example.com^ads', PATH],
    ['|http://example.com/', PATTERN],
    ['||example.com:8080^', PORT],
    ['||ex*mple.com^', PATTERN],
    ['/banner[0-9]/', REGEX],
    ['/banner/$script', REGEX],
    ['&ad_box_', BAD],
    ['||^', BAD],
    ['one two', SEVERAL],
  ])('%j', (line, expected) => expect(one('adblock', line)).toBe(expected));
});

describe('dnsmasq', () => {
  it.each([
    ['address=/example.com/0.0.0.0', 'suffix example.com'],
    ['address=/example.com/', 'suffix example.com'],
    ['address=/example.com/#', 'suffix example.com'],
    ['address = /example.com/::', 'suffix example.com'],
    ['server=/example.com/', 'suffix example.com'],
    ['local=/example.com/ # why', 'suffix example.com'],
    ['address=/a.example/b.example/0.0.0.0', 'suffix a.example, suffix b.example'],
    ['address=/.zip/', 'suffix zip'],
    ['address=/*.example.com/', 'suffix example.com'],
    ['address=/co.uk/', 'exact co.uk'],
    ['address=/zip/', SINGLE],
    ['server=/example.com/10.0.0.2', FORWARD],
    ['server=/example.com/#', FORWARD],
    ['address=/#/0.0.0.0', PATTERN],
    ['server=9.9.9.9', SETTING],
    ['address=/example.com', SETTING],
    ['domain-needed', SETTING],
    ['conf-dir=/etc/dnsmasq.d', SETTING],
    ['# address=/example.com/', ''],
  ])('%j', (line, expected) => expect(one('dnsmasq', line)).toBe(expected));
});

describe('rpz', () => {
  it.each([
    ['example.com CNAME .', 'exact example.com'],
    ['example.com 300 IN CNAME .', 'exact example.com'],
    ['example.com IN 5m CNAME *.', 'exact example.com'],
    ['*.example.com CNAME .', 'suffix example.com'],
    ['*.co.uk CNAME .', 'suffix co.uk'],
    ['example.com CNAME rpz-drop.', 'exact example.com'],
    ['example.com CNAME page.school.example.', 'exact example.com'],
    ['example.com A 10.0.0.1 ; sinkhole', 'exact example.com'],
    ['example.com. CNAME .', 'exact example.com'],
    ['example.com CNAME rpz-passthru.', 'except-exact example.com'],
    ['*.example.com CNAME rpz-passthru.', 'except-suffix example.com'],
    ['example.com CNAME example.com.', 'except-exact example.com'],
    ['example.com CNAME rpz-tcp-only.', TRIGGER],
    ['24.0.2.0.192.rpz-ip CNAME .', 'range 192.0.2.0-192.0.2.255'],
    ['32.7.2.0.192.RPZ-IP CNAME *.', 'range 192.0.2.7'],
    ['128.1.zz.db8.2001.rpz-ip CNAME .', 'range 2001:db8::1'],
    ['48.zz.1.db8.2001.rpz-ip CNAME .', 'range 2001:db8:1::-2001:db8:1:ffff:ffff:ffff:ffff:ffff'],
    ['128.1.zz.rpz-ip CNAME .', 'range ::1'],
    ['32.7.2.0.192.rpz-ip A 10.0.0.1', 'range 192.0.2.7'],
    ['33.7.2.0.192.rpz-ip CNAME .', NO_RANGE],
    ['32.7.2.0.999.rpz-ip CNAME .', NO_RANGE],
    ['128.zz.zz.db8.2001.rpz-ip CNAME .', NO_RANGE],
    ['1.0.0.0.0.rpz-ip CNAME .', WIDE],
    ['rpz-ip CNAME .', TRIGGER],
    ['32.rpz-ip CNAME .', TRIGGER],
    ['32.7.2.0.192.rpz-ip CNAME rpz-passthru.', TRIGGER],
    ['32.7.2.0.192.rpz-client-ip CNAME .', TRIGGER],
    ['ns.example.com.rpz-nsdname CNAME .', TRIGGER],
    ['example.com TXT "block (me"', SETTING],
    ['example.com', SETTING],
    ['com CNAME .', SINGLE],
    ['; comment', ''],
    ['$TTL 60', ''],
    ['@ NS localhost.', ''],
  ])('%j', (line, expected) => expect(one('rpz', line)).toBe(expected));

  it('reads a whole zone: origin, multi-line SOA, owners left out', () => {
    const { entries, report } = parse('rpz', [
      '$TTL 1h',
      '$ORIGIN rpz.example.',
      '@ IN SOA localhost. root.localhost. (',
      '  1 ; serial',
      '  3600 600 86400 60 )',
      '  IN NS localhost.',
      'a.example CNAME .',
      '*.a.example CNAME .',
      'b.example.rpz.example. CNAME .',
      'c.example A 0.0.0.0',
      '          AAAA ::',
      'd.example. CNAME .',
    ]);
    expect(entries).toEqual([
      'exact a.example',
      'suffix a.example',
      'exact b.example',
      'exact c.example',
      'exact c.example',
    ]);
    expect(report.reasons).toEqual({ 'outside the zone': 1 });
    expect(one('rpz', 'x CNAME .')).toBe(SINGLE);
    expect(OUTSIDE).toContain(report.examples[0]?.why);
  });

  it('an SOA with a full owner names the zone', () => {
    const { entries } = parse('rpz', ['rpz.example. SOA a. b. 1 2 3 4 5', 'a.example.rpz.example. CNAME .']);
    expect(entries).toEqual(['exact a.example']);
  });

  it('a parenthesis left open does not swallow the list', () => {
    const lines = ['a.example CNAME . (', ...Array.from({ length: 100 }, (_, i) => `n${i}.example CNAME .`)];
    expect(parse('rpz', lines).report.taken).toBeGreaterThan(60);
  });
});

describe('rules for every format', () => {
  it.each<[ListFormat, string, ListSource['match'], string]>([
    ['hosts', '0.0.0.0 example.com', 'suffix', 'suffix example.com'],
    ['hosts', '0.0.0.0 co.uk', 'suffix', 'exact co.uk'],
    ['domains', 'example.com', 'exact', 'exact example.com'],
    ['wildcard', '*.example.com', 'exact', 'exact example.com'],
    ['adblock', '@@||example.com^', 'exact', 'except-exact example.com'],
    ['rpz', 'example.com CNAME .', 'suffix', 'suffix example.com'],
    ['domains', '192.0.2.7', 'suffix', 'exact 192.0.2.7'],
  ])('match overrules the format: %s %j as %s', (format, line, match, expected) => {
    expect(one(format, line, { match })).toBe(expected);
  });

  it('F02 an exception in a sealed list means nothing', () => {
    const lines = ['||bad.example^', '@@||bad.example^'];
    const { entries, report } = parse('adblock', lines, { sealed: true });
    expect(entries).toEqual(['suffix bad.example']);
    expect(report.reasons).toEqual({ 'an exception in a sealed list': 1 });
    expect(one('rpz', 'a.example CNAME rpz-passthru.', { sealed: true })).toBe(
      'skip: an exception in a sealed list',
    );
  });

  it('says how many public suffixes cover only themselves', () => {
    expect(parse('domains', ['co.uk', 'github.io', 'a.github.io']).report).toMatchObject({
      taken: 3,
      narrowed: 2,
    });
  });

  it('examples are few, short, numbered and printable', () => {
    const lines = [
      'ok.example',
      ...Array.from({ length: 100 }, () => `bad\u0007 ${'y'.repeat(500)}`),
      'a.example/x',
    ];
    const { report } = parse('domains', lines);
    expect(report).toMatchObject({ lines: 102, taken: 1, skipped: 101 });
    expect(report.examples.map((example) => example.line)).toEqual([2, 3, 4, 102]);
    expect(report.examples[0]?.text).toBe(`bad? ${'y'.repeat(75)}…`);
  });

  it('a list that yields nothing says so', () => {
    expect(parse('auto', ['<html>', '<p>Not found</p>']).report).toMatchObject({ taken: 0, skipped: 2 });
    expect(parse('auto', []).report).toMatchObject({ taken: 0, skipped: 0, lines: 0, format: 'domains' });
  });
});
