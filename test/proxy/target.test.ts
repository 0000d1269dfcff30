import { domainToASCII } from 'node:url';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isPrivateAddress } from '../../src/policy/private-address.ts';
import { isWebPort, parseAbsoluteTarget, parseConnectTarget } from '../../src/proxy/target.ts';

const absolute = (text: string) => parseAbsoluteTarget(text, domainToASCII);
const tunnel = (text: string) => parseConnectTarget(text, domainToASCII);
const latin1 = (text: string) => Buffer.from(text, 'utf8').toString('latin1');

describe('an absolute-form target', () => {
  it.each([
    ['http://example.com', 'example.com', 80, 'example.com', '/'],
    ['HTTP://EXAMPLE.com/', 'example.com', 80, 'example.com', '/'],
    ['http://example.com./a', 'example.com', 80, 'example.com', '/a'],
    ['http://example.com:80/a', 'example.com', 80, 'example.com', '/a'],
    ['http://example.com:/a', 'example.com', 80, 'example.com', '/a'],
    ['http://example.com:8080/a?b=c://d', 'example.com', 8080, 'example.com:8080', '/a?b=c://d'],
    ['http://example.com?q', 'example.com', 80, 'example.com', '/?q'],
    ['http://127.0.0.1/', '127.0.0.1', 80, '127.0.0.1', '/'],
    ['http://127.1/', '127.0.0.1', 80, '127.0.0.1', '/'],
    ['http://2130706433/', '127.0.0.1', 80, '127.0.0.1', '/'],
    ['http://0x7f000001/', '127.0.0.1', 80, '127.0.0.1', '/'],
    ['http://0X7F.0.0.0x1/', '127.0.0.1', 80, '127.0.0.1', '/'],
    ['http://0177.0.0.01/', '127.0.0.1', 80, '127.0.0.1', '/'],
    ['http://0/', '0.0.0.0', 80, '0.0.0.0', '/'],
    ['http://10.1/', '10.0.0.1', 80, '10.0.0.1', '/'],
    ['http://192.168.257/', '192.168.1.1', 80, '192.168.1.1', '/'],
    ['http://127.0.0.1./', '127.0.0.1', 80, '127.0.0.1', '/'],
    ['http://[::1]/', '::1', 80, '[::1]', '/'],
    ['http://[0:0:0:0:0:0:0:1]:81/', '::1', 81, '[::1]:81', '/'],
    ['http://[::ffff:127.0.0.1]/', '127.0.0.1', 80, '127.0.0.1', '/'],
    ['http://[::FFFF:7f00:1]/', '127.0.0.1', 80, '127.0.0.1', '/'],
    ['http://[2001:DB8::A]/x', '2001:db8::a', 80, '[2001:db8::a]', '/x'],
    [latin1('http://bücher.example/'), 'xn--bcher-kva.example', 80, 'xn--bcher-kva.example', '/'],
    [latin1('http://①②⑦.0.0.1/'), '127.0.0.1', 80, '127.0.0.1', '/'],
    [latin1('http://example。com/'), 'example.com', 80, 'example.com', '/'],
    ['http://a_b.example/', 'a_b.example', 80, 'a_b.example', '/'],
  ])('%s', (text, host, port, authority, path) => {
    expect(absolute(text)).toMatchObject({ host, port, authority, path });
  });

  it.each([
    ['/index.html', 'not-proxy'],
    ['*', 'not-proxy'],
    ['https://example.com/', 'scheme'],
    ['ftp://example.com/', 'scheme'],
    ['example.com:443', 'scheme'],
    ['http:example.com', 'scheme'],
    ['http:///a', 'host'],
    ['http://user@example.com/', 'userinfo'],
    ['http://user:pw@example.com/', 'userinfo'],
    ['http://example.com@evil.example/', 'userinfo'],
    ['http://exa%6dple.com/', 'host'],
    ['http://example.com\\@evil.example/', 'userinfo'],
    ['http://example.com\\.evil.example/', 'host'],
    ['http://256.1.1.1/', 'host'],
    ['http://1.2.3.4.5/', 'host'],
    ['http://0x/', '0.0.0.0'],
    ['http://08.1/', 'host'],
    ['http://4294967296/', 'host'],
    ['http://[::1/', 'port'],
    ['http://[fe80::1%25eth0]/', 'host'],
    ['http://[1.2.3.4]/', 'host'],
    ['http://[::1]x/', 'port'],
    ['http://::1/', 'port'],
    ['http://example.com:0/', 'port'],
    ['http://example.com:65536/', 'port'],
    ['http://example.com:80a/', 'port'],
    ['http://example.com:+80/', 'port'],
    ['http://example..com/', 'host'],
    ['http://.example.com/', 'host'],
    [`http://${'a'.repeat(64)}.example/`, 'host'],
    [`http://${'a.'.repeat(130)}example/`, 'host'],
    ['http://example.com/#f', 'path'],
    ['http://\xff\xfe.example/', 'host'],
    ['', 'scheme'],
  ])('%j is %s', (text, expected) => {
    const result = absolute(text);
    expect(typeof result === 'string' ? result : result.host).toBe(expected);
  });
});

describe('a CONNECT target', () => {
  it.each([
    ['example.com:443', 'example.com', 443],
    ['EXAMPLE.com.:8443', 'example.com', 8443],
    ['[2001:db8::1]:443', '2001:db8::1', 443],
    ['0x7f.1:443', '127.0.0.1', 443],
  ])('%s', (text, host, port) => {
    expect(tunnel(text)).toMatchObject({ host, port, path: '' });
  });

  it.each([
    ['example.com', 'port'],
    ['example.com:', 'port'],
    [':443', 'host'],
    ['2001:db8::1:443', 'port'],
    ['user@example.com:443', 'userinfo'],
    ['http://example.com:443', 'scheme'],
    ['example.com:443/path', 'scheme'],
    ['', 'port'],
  ])('%j is %s', (text, problem) => {
    expect(tunnel(text)).toBe(problem);
  });
});

describe('properties', () => {
  it('never throws, and a second reading of what came out changes nothing', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.webAuthority(),
          fc.ipV4(),
          fc.ipV4Extended(),
          fc.ipV6().map((a) => `[${a}]`),
        ),
        (host) => {
          const result = absolute(latin1(`http://${host}/`));
          if (typeof result === 'string') return;
          const again = absolute(`http://${result.authority}/`);
          expect(again).toMatchObject({ host: result.host, port: result.port, authority: result.authority });
          expect(result.isAddress ? /^[0-9a-f:.]+$/ : /^[a-z0-9._-]+$/).toSatisfy((shape: RegExp) =>
            shape.test(result.host),
          );
        },
      ),
      { numRuns: 3000, seed: 7 },
    );
  });

  it('F12: reads every spelling of an IPv4 address as a browser does', () => {
    fc.assert(
      fc.property(fc.ipV4Extended(), (text) => {
        let oracle: string | null;
        try {
          oracle = new URL(`http://${text}/`).hostname;
        } catch {
          oracle = null;
        }
        const mine = absolute(`http://${text}/`);
        expect(typeof mine === 'string' ? null : mine.host).toBe(oracle);
      }),
      { numRuns: 3000, seed: 11 },
    );
  });

  it('F12: no spelling of loopback is outside', () => {
    for (const text of [
      '127.1',
      '0x7f.1',
      '2130706433',
      '017700000001',
      '[::1]',
      '[::ffff:127.0.0.1]',
      '[64:ff9b::7f00:1]',
      '0',
    ]) {
      const result = absolute(`http://${text}/`);
      expect(typeof result === 'string' || isPrivateAddress(result.host), text).toBe(true);
    }
  });
});

it('plain requests do not go to the ports of other protocols', () => {
  expect([25, 22, 110, 6667].some(isWebPort)).toBe(false);
  expect([80, 8080, 3000, 443].every(isWebPort)).toBe(true);
});
