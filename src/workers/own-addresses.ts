// Which addresses are the gateway's own, and free ports for it. Asks the system; decides nothing.

import { randomInt } from 'node:crypto';
import dgram from 'node:dgram';
import net from 'node:net';
import { networkInterfaces } from 'node:os';
import type { Endpoint } from './messages.ts';

const isWildcard = (address: string): boolean => address === '0.0.0.0' || address === '::';

/** Every address of this machine's interfaces, of one family or both. */
export function interfaceAddresses(family?: 'IPv4' | 'IPv6'): string[] {
  return (
    Object.values(networkInterfaces())
      .flatMap((list) => list ?? [])
      .filter((entry) => family === undefined || entry.family === family)
      // A link-local address is of use only with its interface.
      .map((entry) => (entry.address.startsWith('fe80:') ? null : entry.address))
      .filter((address) => address !== null)
  );
}

/**
 * One endpoint per local address for a wildcard, so that a UDP reply leaves from the address that was asked:
 * a socket bound to the wildcard would let the kernel choose.
 */
export function expandWildcard(endpoint: Endpoint): Endpoint[] {
  if (!isWildcard(endpoint.address)) return [endpoint];
  const addresses = interfaceAddresses(endpoint.address === '::' ? 'IPv6' : 'IPv4');
  return addresses.map((address) => ({ address, port: endpoint.port }));
}

/** Gives what lets go of the port again. */
type Hold = (endpoint: Endpoint) => Promise<() => Promise<void>>;

const holdTcp: Hold = ({ address, port }) =>
  new Promise((resolve, reject) => {
    const server = net.createServer();
    server.once('error', reject);
    server.listen({ host: address, port, exclusive: true }, () => {
      resolve(() => new Promise((done) => server.close(() => done())));
    });
  });

const holdUdp: Hold = ({ address, port }) =>
  new Promise((resolve, reject) => {
    const v6 = net.isIPv6(address);
    const socket = dgram.createSocket({ type: v6 ? 'udp6' : 'udp4', ipv6Only: v6 });
    socket.once('error', reject);
    socket.bind({ address, port, exclusive: true }, () => {
      resolve(() => new Promise((done) => socket.close(() => done())));
    });
  });

function explainBind(error: NodeJS.ErrnoException, endpoint: Endpoint, protocol: string): Error {
  const where = `${endpoint.address}:${endpoint.port} (${protocol})`;
  if (error.code === 'EADDRINUSE') {
    const resolved =
      endpoint.port === 53 ? ' On many systems that is systemd-resolved: set DNSStubListener=no for it.' : '';
    return new Error(
      `${where} is taken by another program: stop it, or change listen in gateway.yaml.${resolved}`,
    );
  }
  if (error.code === 'EACCES') {
    return new Error(
      `${where} needs a privilege: give the service CAP_NET_BIND_SERVICE, or listen above port 1023.`,
    );
  }
  if (error.code === 'EADDRNOTAVAIL')
    return new Error(`${where}: this machine has no such address; correct listen in gateway.yaml.`);
  return new Error(`${where} cannot be opened: ${error.message}`);
}

const TRIES = 50;
/** Below the range from which systems take ports for outgoing connections, so that none is taken before it is bound. */
const FREE_PORTS = { from: 10_240, to: 32_767 };

/**
 * Binds without reusePort, for reusePort would hide a second gateway, then lets go. For port 0 it finds one port that is
 * free for every protocol asked. Errors say which program or setting is in the way.
 */
export async function probeEndpoint(
  endpoint: Endpoint,
  protocols: readonly ('udp' | 'tcp')[],
): Promise<Endpoint> {
  for (let attempt = 1; ; attempt++) {
    const held: (() => Promise<void>)[] = [];
    const port = endpoint.port === 0 ? randomInt(FREE_PORTS.from, FREE_PORTS.to + 1) : endpoint.port;
    try {
      for (const protocol of protocols) {
        try {
          held.push(await (protocol === 'udp' ? holdUdp : holdTcp)({ address: endpoint.address, port }));
        } catch (error) {
          throw explainBind(error as NodeJS.ErrnoException, { ...endpoint, port }, protocol.toUpperCase());
        }
      }
      return { address: endpoint.address, port };
    } catch (error) {
      if (endpoint.port !== 0 || attempt === TRIES) throw error;
    } finally {
      await Promise.all(held.map((letGo) => letGo()));
    }
  }
}
