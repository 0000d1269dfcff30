// What the tests of special and local names share: a query in wire form, and an answer read by other code than ours.

import { RECURSION_DESIRED, decode, encode } from 'dns-packet';
import type { DecodedPacket } from 'dns-packet';
import { createQuery, parseQuery } from '../../src/dns/wire.ts';
import type { Query } from '../../src/dns/wire.ts';

const TYPES: Record<string, number> = {
  A: 1,
  NS: 2,
  CNAME: 5,
  SOA: 6,
  PTR: 12,
  MX: 15,
  TXT: 16,
  AAAA: 28,
  SRV: 33,
  DS: 43,
  SVCB: 64,
  HTTPS: 65,
  ANY: 255,
};

export type Asked = { packet: Uint8Array; query: Query };

/** A query for a name, dots between its labels; with EDNS and room for 1,232 bytes unless `edns` is false. */
export function asked(name: string, type = 'A', { edns = true, id = 7 } = {}): Asked {
  const packet = new Uint8Array(
    encode({
      type: 'query',
      id,
      flags: RECURSION_DESIRED,
      questions: [{ type: 'A', name }],
      ...(edns && {
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
      }),
    }),
  );
  const query = createQuery();
  if (parseQuery(packet, packet.length, query) !== 0) throw new Error(`${name} cannot be asked`);
  packet[query.nameEnd + 1] = TYPES[type]!;
  query.type = TYPES[type]!;
  return { packet, query };
}

export type OwnAnswer = {
  rcode: number;
  aa: boolean;
  tc: boolean;
  answers: string[];
  soa: string | null;
  length: number;
  decoded: DecodedPacket;
};

/** An answer as text: `owner TYPE data` for each record, and the owner of the SOA of a negative one. */
export function readAnswer(bytes: Uint8Array): OwnAnswer {
  const decoded = decode(Buffer.from(bytes));
  const soa = decoded.authorities?.find((record) => record.type === 'SOA');
  return {
    rcode: bytes[3]! & 15,
    aa: decoded.flag_aa,
    tc: decoded.flag_tc,
    answers: (decoded.answers ?? []).map((record) => `${record.name} ${record.type} ${textOf(record)}`),
    soa: soa?.name ?? null,
    length: bytes.length,
    decoded,
  };
}

function textOf(record: { type: string; data?: unknown }): string {
  const data = record.data as Record<string, unknown> & { toString(): string };
  switch (record.type) {
    case 'MX':
      return `${String(data['preference'])} ${String(data['exchange'])}`;
    case 'SRV':
      return ['priority', 'weight', 'port', 'target'].map((key) => String(data[key])).join(' ');
    case 'TXT':
      return (record.data as Buffer[]).map(String).join('');
    case 'SOA':
      return String(data['mname']);
    default:
      return String(data);
  }
}
