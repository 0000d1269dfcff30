// An upstream on loopback that does what a test tells it: any number of datagrams for a query, from any socket, or none;
// and over TCP on the same port likewise. Speaks through dns-packet, so that what it sends is checked by other code than ours.

import { createSocket } from 'node:dgram';
import type { Socket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { AUTHORITATIVE_ANSWER, RECURSION_AVAILABLE, decode, encode } from 'dns-packet';
import type { Answer, Packet } from 'dns-packet';

export type Asked = {
  readonly bytes: Buffer;
  readonly name: string;
  readonly type: string;
  readonly port: number;
  readonly id: number;
  readonly byTcp: boolean;
};

export type ScriptedUpstream = {
  readonly address: string;
  readonly port: number;
  /** every query seen, oldest first */
  readonly asked: Asked[];
  /** what to send for a query; an array for several messages, an empty one for silence */
  script: (asked: Asked) => Uint8Array[] | Promise<Uint8Array[]>;
  /** a socket that is not the one queries go to, to send what a stranger would send */
  readonly stranger: Socket;
  close(): Promise<void>;
};

/** An answer to `asked` with the given records; `more` overrides any field of the message. */
export function answerTo(
  asked: Asked,
  answers: Answer[] = [],
  more: Partial<Packet> & { rcode?: number } = {},
): Buffer {
  const query = decode(asked.bytes);
  const { rcode = 0, flags = 0, ...fields } = more;
  return encode({
    type: 'response',
    id: asked.id,
    flags: 0x0100 | RECURSION_AVAILABLE | AUTHORITATIVE_ANSWER | flags | rcode,
    questions: query.questions ?? [],
    answers,
    ...fields,
  });
}

export function addressRecord(name: string, address: string, ttl = 300): Answer {
  return { type: address.includes(':') ? 'AAAA' : 'A', name, ttl, data: address };
}

export function soaRecord(name: string, ttl: number, minimum: number): Answer {
  const data = {
    mname: 'ns.example',
    rname: 'host.example',
    serial: 1,
    refresh: 1,
    retry: 1,
    expire: 1,
    minimum,
  };
  return { type: 'SOA', name, ttl, data };
}

/** Listens on 127.0.0.1, UDP and TCP on one port; answers every A with 192.0.2.1 and all else with nothing until scripted. */
export async function startScriptedUpstream(): Promise<ScriptedUpstream> {
  const asked: Asked[] = [];
  const sockets = new Set<{ destroy(): void }>();
  const stranger = createSocket('udp4');
  stranger.bind(0, '127.0.0.1');
  await once(stranger, 'listening');

  const read = (bytes: Buffer, port: number, byTcp: boolean): Asked => {
    const query = decode(bytes);
    const question = query.questions?.[0];
    const seen: Asked = {
      bytes,
      name: question?.name ?? '',
      type: question?.type ?? '',
      port,
      id: query.id ?? 0,
      byTcp,
    };
    asked.push(seen);
    return seen;
  };

  const upstream: ScriptedUpstream = {
    address: '127.0.0.1',
    port: 0,
    asked,
    script: (query) => [answerTo(query, query.type === 'A' ? [addressRecord(query.name, '192.0.2.1')] : [])],
    stranger,
    async close() {
      for (const socket of sockets) socket.destroy();
      stranger.close();
      udp.close();
      tcp.close();
    },
  };

  const tcp = createServer((socket) => {
    sockets.add(socket);
    let rest = Buffer.alloc(0);
    socket.on('error', () => {});
    socket.on('data', async (chunk: Buffer) => {
      rest = Buffer.concat([rest, chunk]);
      while (rest.length >= 2 && rest.length >= rest.readUInt16BE(0) + 2) {
        const size = rest.readUInt16BE(0);
        const query = read(Buffer.from(rest.subarray(2, size + 2)), socket.remotePort ?? 0, true);
        rest = rest.subarray(size + 2);
        for (const answer of await upstream.script(query)) {
          socket.write(Buffer.concat([Buffer.from([answer.length >> 8, answer.length & 255]), answer]));
        }
      }
    });
  });
  tcp.listen(0, '127.0.0.1');
  await once(tcp, 'listening');
  const { port } = tcp.address() as AddressInfo;
  const udp = createSocket('udp4');
  udp.on('message', async (bytes, from) => {
    const query = read(bytes, from.port, false);
    for (const answer of await upstream.script(query)) udp.send(answer, from.port, from.address);
  });
  udp.bind(port, '127.0.0.1');
  await once(udp, 'listening');
  return Object.assign(upstream, { port });
}
