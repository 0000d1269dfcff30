import { connect } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { once } from 'node:events';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { LONGEST_PROXY_HEADER, readDatagramHeader, readProxyHeader } from '../../src/dns/proxy-protocol.ts';
import { openDnsDot } from '../../src/dns/server-dot.ts';
import { openDnsTcp } from '../../src/dns/server-tcp.ts';
import { testAuthority, testCertificate, testKey } from '../support/certificate.ts';
import { framed } from '../support/dns-streams.ts';
import { query } from './fixture.ts';

const SIGNATURE = Buffer.from('0d0a0d0a000d0a515549540a', 'hex');
function binary(command: number, family: number, data: Buffer): Buffer {
  const head = Buffer.from([command, family, data.length >> 8, data.length & 255]);
  return Buffer.concat([SIGNATURE, head, data]);
}
const v4 = Buffer.from([10, 2, 0, 7, 10, 0, 0, 1, 0x30, 0x39, 3, 0x55]);
const v6 = Buffer.concat([
  Buffer.from('20010db8000000000000000000000007', 'hex'),
  Buffer.from('20010db8000000000000000000000001', 'hex'),
  Buffer.from([0x30, 0x39, 3, 0x55]),
]);
const mapped = Buffer.concat([Buffer.from('00000000000000000000ffff0a020007', 'hex'), v6.subarray(16)]);
const extras = Buffer.from([4, 0, 3, 1, 2, 3]);

const good: [string, Buffer, string | null][] = [
  ['version 1, IPv4', Buffer.from('PROXY TCP4 10.2.0.7 10.0.0.1 12345 853\r\n'), '10.2.0.7'],
  ['version 1, IPv6', Buffer.from('PROXY TCP6 2001:db8::7 2001:db8::1 1 853\r\n'), '2001:db8::7'],
  ['version 1, unknown', Buffer.from('PROXY UNKNOWN\r\n'), null],
  ['version 1, unknown with words', Buffer.from('PROXY UNKNOWN ff::1 ff::2 1 2\r\n'), null],
  ['version 2, IPv4', binary(0x21, 0x11, v4), '10.2.0.7'],
  ['version 2, IPv4 with extras', binary(0x21, 0x11, Buffer.concat([v4, extras])), '10.2.0.7'],
  ['version 2, IPv6', binary(0x21, 0x21, v6), '2001:db8::7'],
  ['version 2, mapped', binary(0x21, 0x21, mapped), '10.2.0.7'],
  ['version 2, datagram', binary(0x21, 0x12, v4), '10.2.0.7'],
  ['version 2, local', binary(0x20, 0, Buffer.alloc(0)), null],
  ['version 2, unspecified', binary(0x21, 0, extras), null],
];
const bad: [string, Buffer][] = [
  ['DNS', framed(query('a.example'))],
  ['TLS', Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1, 252])],
  ['another word', Buffer.from('PROXIES')],
  ['a line too long', Buffer.from(`PROXY UNKNOWN ${'x'.repeat(120)}`)],
  ['a line without CR', Buffer.from('PROXY TCP4 10.2.0.7 10.0.0.1 12345 853\n\n')],
  ['CR without LF', Buffer.from('PROXY TCP4 10.2.0.7 10.0.0.1 12345 853\rx')],
  ['no address', Buffer.from('PROXY TCP4 ten 10.0.0.1 12345 853\r\n')],
  ['the other family', Buffer.from('PROXY TCP4 2001:db8::7 10.0.0.1 12345 853\r\n')],
  ['a port too high', Buffer.from('PROXY TCP4 10.2.0.7 10.0.0.1 65536 853\r\n')],
  ['a zone', Buffer.from('PROXY TCP6 fe80::1%eth0 fe80::2 1 2\r\n')],
  ['version 3', binary(0x31, 0x11, v4)],
  ['command 2', binary(0x22, 0x11, v4)],
  ['too short for its family', binary(0x21, 0x21, v4)],
  ['family 5', binary(0x21, 0x51, v6)],
  ['longer than any', binary(0x21, 0x11, Buffer.alloc(1025))],
  ['a broken signature', Buffer.from('0d0a0d0a000d0a515549540b', 'hex')],
];

describe('the header', () => {
  it.each(good)('F01 %s', (_what, bytes, address) => {
    const followed = Buffer.concat([bytes, Buffer.from('what follows')]);
    expect(readProxyHeader(followed, followed.length)).toEqual({
      kind: 'header',
      size: bytes.length,
      address,
    });
    for (let length = 0; length < bytes.length; length++)
      expect([length, readProxyHeader(bytes, length)]).toEqual([length, 'more']);
    const datagram = bytes[0] === 13 ? { kind: 'header', size: bytes.length, address } : 'bad';
    expect(readDatagramHeader(followed, followed.length)).toEqual(datagram);
    if (bytes[0] === 13) expect(readDatagramHeader(bytes, bytes.length - 1)).toBe('bad');
  });

  it.each(bad)('not %s', (_what, bytes) => {
    expect(readProxyHeader(bytes, bytes.length)).toBe('bad');
    expect(readDatagramHeader(bytes, bytes.length)).toBe('bad');
  });

  it('any bytes: an answer within its bounds, the same however they come', () => {
    const start = fc.constantFrom(...good.map(([, bytes]) => bytes), Buffer.alloc(0), SIGNATURE);
    const bytes = fc.tuple(start, fc.uint8Array({ maxLength: 80 }), fc.nat(60), fc.nat(255));
    fc.assert(
      fc.property(bytes, ([head, tail, at, value]) => {
        const whole = Buffer.concat([head, tail]);
        if (at < whole.length) whole[at] = value;
        const once = readProxyHeader(whole, whole.length);
        let piecewise: ReturnType<typeof readProxyHeader> = 'more';
        for (let length = 0; length <= whole.length && piecewise === 'more'; length++)
          piecewise = readProxyHeader(whole, length);
        expect(piecewise).toEqual(once);
        if (typeof once === 'object') expect(once.size).toBeLessThanOrEqual(LONGEST_PROXY_HEADER);
      }),
      { numRuns: 2000 },
    );
  });
});

const open: { close(): unknown }[] = [];
afterEach(async () => {
  for (const item of open.splice(0)) await item.close();
});

/** A server that echoes queries and tells from whom they came. */
async function door(kind: 'tcp' | 'dot', proxyFrom: readonly string[], more: { maxPerClient?: number } = {}) {
  const asked: string[] = [];
  const handler = {
    asker: (address: string) => {
      asked.push(address);
      return {} as never;
    },
    asker4: () => ({}) as never,
    handle(packet: Uint8Array, length: number, _asker: unknown, _transport: unknown, out: Uint8Array) {
      out.set(packet.subarray(0, length));
      return length;
    },
  };
  const identity = { cert: testCertificate, key: testKey, ticketKeys: new Uint8Array(48), host: null };
  const options = { address: '127.0.0.1', port: 0, handler, proxyFrom, ...more };
  const server = await (kind === 'tcp' ? openDnsTcp(options) : openDnsDot({ ...options, identity }));
  open.unshift(server);
  return { server, asked };
}

function dial(port: number) {
  const socket = connect(port, '127.0.0.1');
  open.unshift({ close: () => socket.destroy() });
  socket.on('error', () => {});
  return socket;
}

describe('a forwarder in front', () => {
  const header = good[4]?.[1] as Buffer;

  it.each(['at once', 'byte by byte'])(
    'F01 over TCP, %s: the client is the one that it names',
    async (way) => {
      const { server, asked } = await door('tcp', ['127.0.0.1']);
      const socket = dial(server.port);
      const bytes = Buffer.concat([header, framed(query('a.example'))]);
      if (way === 'at once') socket.write(bytes);
      else
        for (const byte of bytes) {
          socket.write(Buffer.from([byte]));
          await new Promise((resolve) => setImmediate(resolve));
        }
      await once(socket, 'data');
      expect(asked).toEqual(['10.2.0.7']);
    },
  );

  it('F01 over DoT, the handshake in the same packet', async () => {
    const { server, asked } = await door('dot', ['127.0.0.0/8']);
    const socket = dial(server.port);
    socket.write(header);
    const secure = connectTls({ socket, ca: testAuthority, servername: 'dns.test', ALPNProtocols: ['dot'] });
    secure.on('error', () => {});
    secure.write(framed(query('a.example')));
    await once(secure, 'data');
    expect(asked).toEqual(['10.2.0.7']);
  });

  it('a forwarder that speaks for itself is itself', async () => {
    const { server, asked } = await door('tcp', ['127.0.0.1']);
    const socket = dial(server.port);
    socket.write(Buffer.concat([good[9]?.[1] as Buffer, framed(query('a.example'))]));
    await once(socket, 'data');
    expect(asked).toEqual(['127.0.0.1']);
  });

  it.each([
    ['from a forwarder, a connection without a header', ['127.0.0.1'], framed(query('a.example'))],
    ['from anyone else, a header', ['10.9.9.9'], Buffer.from('PROXY TCP4 10.2.0.7 10.0.0.1 1 853\r\n')],
  ])('%s ends the connection', async (_what, from, bytes) => {
    const { server, asked } = await door('tcp', from);
    const socket = dial(server.port);
    socket.resume();
    socket.write(bytes);
    await once(socket, 'close');
    expect(asked).toEqual([]);
  });

  it('the limits count the clients behind it, each for itself', async () => {
    const { server } = await door('tcp', ['127.0.0.1'], { maxPerClient: 2 });
    const from = (last: number) => {
      const socket = dial(server.port);
      socket.resume();
      const bytes = Buffer.from(header);
      bytes[19] = last;
      socket.write(bytes);
      return socket;
    };
    from(1);
    from(1);
    from(2);
    await expect.poll(() => server.stats()['open']).toBe(3);
    await once(from(1), 'close');
    expect(server.stats()).toMatchObject({ open: 3, turnedAway: 1 });
  });
});
