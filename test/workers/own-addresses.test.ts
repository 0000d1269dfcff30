import dgram from 'node:dgram';
import { once } from 'node:events';
import net from 'node:net';
import { describe, expect, it } from 'vitest';
import { expandWildcard, probeEndpoint } from '../../src/workers/own-addresses.ts';

describe('own addresses', () => {
  it('finds one port that is free for UDP and TCP alike', async () => {
    const { port } = await probeEndpoint({ address: '127.0.0.1', port: 0 }, ['udp', 'tcp']);
    expect(port).toBeGreaterThan(1023);
    const socket = dgram.createSocket('udp4').bind(port, '127.0.0.1');
    await once(socket, 'listening');
    const server = net.createServer().listen(port, '127.0.0.1');
    await once(server, 'listening');
    await expect(probeEndpoint({ address: '127.0.0.1', port }, ['udp'])).rejects.toThrow(
      `127.0.0.1:${port} (UDP) is taken by another program`,
    );
    await expect(probeEndpoint({ address: '127.0.0.1', port }, ['tcp'])).rejects.toThrow(/\(TCP\) is taken/);
    socket.close();
    server.close();
  });

  it('notices a second gateway even when the first shares its port', async () => {
    const first = net.createServer();
    first.listen({ host: '127.0.0.1', port: 0, reusePort: true });
    await once(first, 'listening');
    const { port } = first.address() as net.AddressInfo;
    await expect(probeEndpoint({ address: '127.0.0.1', port }, ['tcp'])).rejects.toThrow(/is taken/);
    first.close();
  });

  it('names an address that the machine does not have', async () => {
    await expect(probeEndpoint({ address: '203.0.113.9', port: 0 }, ['tcp'])).rejects.toThrow(
      /no such address/,
    );
  });

  it('puts one socket on each address for a wildcard, and leaves others as they are', () => {
    expect(expandWildcard({ address: '127.0.0.1', port: 53 })).toEqual([{ address: '127.0.0.1', port: 53 }]);
    const all = expandWildcard({ address: '0.0.0.0', port: 53 });
    expect(all).toContainEqual({ address: '127.0.0.1', port: 53 });
    expect(all.every(({ address }) => net.isIPv4(address) && address !== '0.0.0.0')).toBe(true);
  });
});
