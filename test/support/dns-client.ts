// Asks a DNS server one question over UDP, from a local address of choice, as a client of the school would.

import dgram from 'node:dgram';
import packet from 'dns-packet';

export type DnsAnswer = {
  readonly rcode: string;
  readonly addresses: string[];
  readonly ttls: number[];
  /** EDE info codes (RFC 8914) */
  readonly ede: number[];
  readonly truncated: boolean;
  readonly records: { readonly type: string; readonly name: string; readonly data: unknown }[];
};

const EDE_OPTION = 15;

export function askDns(
  server: { port: number; address?: string },
  name: string,
  options: { type?: packet.RecordType; from?: string; timeoutMs?: number } = {},
): Promise<DnsAnswer> {
  const id = Math.floor(Math.random() * 65536);
  const socket = dgram.createSocket('udp4');
  const query = packet.encode({
    type: 'query',
    id,
    flags: packet.RECURSION_DESIRED,
    questions: [{ type: options.type ?? 'A', name, class: 'IN' }],
    additionals: [
      {
        type: 'OPT',
        name: '.',
        udpPayloadSize: 1232,
        extendedRcode: 0,
        ednsVersion: 0,
        flags: 0,
        flag_do: false,
        options: [],
      },
    ],
  });
  return new Promise<DnsAnswer>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no answer for ${name}`)), options.timeoutMs ?? 5000);
    socket.on('error', reject);
    socket.on('message', (message) => {
      const answer = packet.decode(message) as packet.DecodedPacket & { rcode: string };
      if (answer.id !== id) return;
      clearTimeout(timer);
      const answers = (answer.answers ?? []) as {
        type: string;
        name: string;
        data: unknown;
        ttl: number;
      }[];
      const opt = (answer.additionals ?? []).find((record) => record.type === 'OPT') as
        { options: { code: number; data: Buffer }[] } | undefined;
      resolve({
        rcode: answer.rcode,
        addresses: answers.filter((a) => a.type === 'A' || a.type === 'AAAA').map((a) => String(a.data)),
        ttls: answers.map((a) => a.ttl),
        ede: (opt?.options ?? [])
          .filter((option) => option.code === EDE_OPTION)
          .map((option) => option.data.readUInt16BE(0)),
        records: answers.map(({ type, name: owner, data }) => ({ type, name: owner, data })),
        truncated: Boolean((answer as { flag_tc?: boolean }).flag_tc),
      });
    });
    socket.bind({ address: options.from ?? '127.0.0.1', port: 0 }, () => {
      socket.send(query, server.port, server.address ?? '127.0.0.1');
    });
  }).finally(() => socket.close());
}
