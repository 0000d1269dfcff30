import { describe, expect, it } from 'vitest';
import {
  isOurselves,
  parseSecureUpstream,
  parseUpstream,
  systemUpstreams,
  upstreamText,
} from '../../src/resolver/upstreams.ts';

describe('parseUpstream', () => {
  it.each([
    ['9.9.9.9', '9.9.9.9', 53],
    [' 9.9.9.9:5353 ', '9.9.9.9', 5353],
    ['2620:FE::00fe', '2620:fe::fe', 53],
    ['[2620:fe::fe]:853', '2620:fe::fe', 853],
    ['fe80::1%eth0', 'fe80::1%eth0', 53],
  ])('reads %s', (text, address, port) => {
    expect(parseUpstream(text)).toEqual({ address, port });
  });

  it.each([
    ['tls://9.9.9.9', /write an address/],
    ['dns.example', /write an address/],
    ['system', /write an address/],
    ['', /write an address/],
    ['9.9.9.9:0', /port must be/],
    ['9.9.9.9:70000', /port must be/],
    ['[9.9.9.9]:53', /write an address/],
    ['9.9.9', /write an address/],
  ])('refuses %s and says what to write', (text, problem) => {
    expect(() => parseUpstream(text)).toThrow(problem);
  });

  it('is written as it is read', () => {
    for (const text of ['9.9.9.9:53', '[2620:fe::fe]:5353'])
      expect(upstreamText(parseUpstream(text))).toBe(text);
  });
});

describe('parseSecureUpstream', () => {
  it.each([
    ['tls://dns.example', 'tls', 'dns.example', 853, '', []],
    ['TLS://DNS.Example.:8853/', 'tls', 'dns.example', 8853, '', []],
    ['tls://dns.example:443', 'tls', 'dns.example', 443, '', []],
    ['tls://9.9.9.9', 'tls', '9.9.9.9', 853, '', ['9.9.9.9']],
    ['tls://[2620:FE::00fe]#dns.quad9.net', 'tls', 'dns.quad9.net', 853, '', ['2620:fe::fe']],
    ['https://dns.example/dns-query', 'https', 'dns.example', 443, '/dns-query', []],
    ['https://9.9.9.9:8443/q?a=b#dns.example', 'https', 'dns.example', 8443, '/q?a=b', ['9.9.9.9']],
  ])('reads %s', (text, kind, host, port, path, addresses) => {
    expect(parseSecureUpstream(text)).toEqual({ kind, host, port, path, addresses });
  });

  it.each([
    ['quic://dns.example', /tls:\/\/host or https:\/\/host/],
    ['tls://', /host or the port/],
    ['tls://dns.example:70000', /host or the port/],
    ['tls://dns.example:0', /1 to 65535/],
    ['tls://dns.example/path', /has no path/],
    ['https://dns.example', /write the path/],
    ['https://dns.example/dns-query{?dns}', /braces/],
    ['https://me:pw@dns.example/dns-query', /no user/],
    ['tls://dns.example#other.example', /address before the #/],
    ['tls://9.9.9.9#not a name', /address before the #/],
    ['tls://9.9.9.9#%', /host or the port/],
  ])('refuses %s and says what to write', (text, problem) => {
    expect(() => parseSecureUpstream(text)).toThrow(problem);
  });

  it('is written as it is read', () => {
    for (const text of [
      'tls://dns.example',
      'tls://[2620:fe::fe]:8853#dns.quad9.net',
      'https://9.9.9.9/dns-query#dns.quad9.net',
      'tls://9.9.9.9',
    ]) {
      expect(upstreamText(parseSecureUpstream(text))).toBe(text);
    }
  });
});

describe('systemUpstreams', () => {
  it('takes the name servers in order, without repeats and without what is no address', () => {
    const text =
      '# made by hand\nsearch lan\nnameserver 10.0.0.2\n nameserver 2001:DB8::1 \nnameserver 10.0.0.2\nnameserver x';
    expect(systemUpstreams(text)).toEqual([
      { address: '10.0.0.2', port: 53 },
      { address: '2001:db8::1', port: 53 },
    ]);
    expect(systemUpstreams('')).toEqual([]);
  });
});

describe('isOurselves', () => {
  const local = ['10.0.0.1', 'FD00::1'];
  it.each([
    ['127.0.0.1:1053', [{ address: '127.0.0.1', port: 1053 }], true],
    ['127.0.0.1:53', [{ address: '127.0.0.1', port: 1053 }], false],
    ['10.0.0.1:53', [{ address: '0.0.0.0', port: 53 }], true],
    ['127.0.0.53:53', [{ address: '0.0.0.0', port: 53 }], true],
    ['[fd00::1]:53', [{ address: '::', port: 53 }], true],
    ['[::1]:53', [{ address: '0:0::1', port: 53 }], true],
    ['10.0.0.2:53', [{ address: '0.0.0.0', port: 53 }], false],
  ])('%s with %j: %s', (upstream, own, expected) => {
    expect(isOurselves(parseUpstream(upstream), own, local)).toBe(expected);
  });
});
