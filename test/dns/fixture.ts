// What the tests of the dns room share: queries in wire form, answers read by other code than ours, an engine that does as it
// is told, an upstream in memory, and a handler wired from them.

import { decode, encode } from 'dns-packet';
import type { Answer, DecodedPacket } from 'dns-packet';
import { createNameHashes, hashWireName } from '../../src/blocklist/hash.ts';
import { createDnsHandler } from '../../src/dns/handle.ts';
import { ANSWER_ROOM } from '../../src/dns/types.ts';
import type { DnsHandler, DnsSettings, Transport } from '../../src/dns/types.ts';
import { typeName } from '../../src/dns/question-text.ts';
import type { Client, Decision, DnsNote, Engine, Verdict } from '../../src/policy/types.ts';
import type { Exchange } from '../../src/resolver/types.ts';

export type QueryOptions = {
  id?: number;
  type?: number;
  class?: number;
  flags?: number;
  /** EDNS: size and DO; null for none */
  edns?: { size?: number; version?: number; dnssecOk?: boolean; options?: Buffer } | null;
};

/** Labels as they are written, case kept; `.` is the root. */
export function wireName(name: string): Buffer {
  if (name === '.') return Buffer.from([0]);
  const labels = name.split('.').map((label) => Buffer.from([label.length, ...Buffer.from(label, 'latin1')]));
  return Buffer.concat([...labels, Buffer.from([0])]);
}

export function query(name: string, options: QueryOptions = {}): Buffer {
  const { id = 0x1234, type = 1, flags = 0x0100, edns = {} } = options;
  const head = Buffer.alloc(12);
  head.writeUInt16BE(id, 0);
  head.writeUInt16BE(flags, 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt16BE(edns === null ? 0 : 1, 10);
  const tail = Buffer.alloc(4);
  tail.writeUInt16BE(type, 0);
  tail.writeUInt16BE(options.class ?? 1, 2);
  const parts = [head, wireName(name), tail];
  if (edns !== null) {
    const data = edns.options ?? Buffer.alloc(0);
    const opt = Buffer.alloc(11);
    opt.writeUInt16BE(41, 1);
    opt.writeUInt16BE(edns.size ?? 1232, 3);
    opt[6] = edns.version ?? 0;
    opt[7] = edns.dnssecOk === true ? 0x80 : 0;
    opt.writeUInt16BE(data.length, 9);
    parts.push(opt, data);
  }
  return Buffer.concat(parts);
}

export type Read = DecodedPacket & {
  rcodeNumber: number;
  data: unknown[];
  ttls: number[];
  opt: { size: number; extended: number; version: number; dnssecOk: boolean } | null;
  ede: number[];
  truncated: boolean;
};

/** An answer as dns-packet reads it, and the parts that tests ask for most. */
export function read(bytes: Uint8Array): Read {
  const buffer = Buffer.from(bytes);
  const packet = decode(buffer);
  const answers = packet.answers ?? [];
  const opt = packet.additionals?.find((record) => record.type === 'OPT');
  const isOpt = opt !== undefined && opt.type === 'OPT';
  return {
    ...packet,
    rcodeNumber: (buffer[3] as number) & 15,
    data: answers.map((record) => ('data' in record ? record.data : null)),
    ttls: answers.map((record) => ('ttl' in record ? (record.ttl ?? 0) : 0)),
    opt: isOpt
      ? {
          size: opt.udpPayloadSize,
          extended: opt.extendedRcode,
          version: opt.ednsVersion,
          dnssecOk: opt.flag_do,
        }
      : null,
    ede: isOpt
      ? (opt.options as unknown as { code: number; data: Buffer }[])
          .filter((option) => option.code === 15)
          .map((option) => option.data.readUInt16BE(0))
      : [],
    truncated: ((buffer[2] as number) & 2) !== 0,
  };
}

export const ALLOW: Verdict = {
  action: 'allow',
  reason: 'default-allow',
  category: null,
  rating: null,
  rule: 'names that no list knows are allowed',
  list: null,
  group: 'staff',
  overrideId: null,
  target: null,
  until: null,
};

export const BLOCK: Verdict = {
  ...ALLOW,
  action: 'block',
  reason: 'unacceptable',
  category: 'gambling',
  rating: 'unacceptable',
  rule: 'gambling is unacceptable',
  list: 'starter-gambling',
};

/** An engine that says what `rule` says of the lower-case name; the group of a client is its address's last number. */
export function fakeEngine(rule: (name: string, client: Client, now: number) => Verdict): Engine {
  const clients = new Map<string, Client>();
  const textOf = (packet: Uint8Array, offset: number): string => {
    const labels: string[] = [];
    let at = offset;
    while (packet[at] !== 0 && packet[at] !== undefined) {
      const end = at + 1 + (packet[at] as number);
      labels.push(Buffer.from(packet.subarray(at + 1, end)).toString('latin1'));
      at = end;
    }
    return labels.join('.').toLowerCase();
  };
  const hashes = createNameHashes();
  let asked = '';
  const hash = (packet: Uint8Array, offset: number): number => {
    asked = textOf(packet, offset);
    return hashWireName({ lo: 1, hi: 2 }, packet, offset, hashes);
  };
  return {
    setIndex() {},
    setPolicy() {},
    setOverrides() {},
    epoch: 0,
    seed: { lo: 1, hi: 2 },
    hashes,
    hash,
    profile: () => 1,
    decideHashed: (_profile, client, now) => rule(asked, client, now),
    generations: { policy: 3, index: 5, overrides: 0 },
    ready: () => true,
    client(address) {
      const known = clients.get(address);
      if (known !== undefined) return known;
      const group = `group-${address.split('.').at(-1)}`;
      const made = { address, device: null, group, class: null, user: null, inCharge: null };
      clients.set(address, made);
      return made;
    },
    decideWire: (packet, offset, client, now) => rule(textOf(packet, offset), client, now),
    traits: () => ({ serviceRecords: 'strip' }),
    hasAddressLists: () => false,
    decideAddress: () => null,
    decideHost: (host, client, now) => rule(host, client, now),
    explain: (host, client, now) => ({ verdict: rule(host, client, now), trace: [] }),
    lists: () => [],
    clientFor: () => null,
    model: () => null,
  };
}

export type Answered = { answers?: Answer[]; authorities?: Answer[]; additionals?: Answer[]; rcode?: number };

/** An upstream in memory. What it is asked is in `asked`; `script` may throw, or give bytes of its own. */
export function fakeExchange(
  script: (name: string, type: string, packet: Uint8Array) => Answered | Uint8Array,
): Exchange & {
  asked: string[];
} {
  const asked: string[] = [];
  return {
    asked,
    async query(packet) {
      const question = decode(Buffer.from(packet)).questions?.[0];
      if (question === undefined) throw new Error('no question');
      asked.push(`${question.name} ${question.type}`);
      const answer = script(question.name.toLowerCase(), question.type, packet);
      if (answer instanceof Uint8Array) return answer;
      return encode({
        type: 'response',
        id: ((packet[0] as number) << 8) | (packet[1] as number),
        flags: 0x0180 | (answer.rcode ?? 0),
        questions: [question],
        answers: answer.answers ?? [],
        authorities: answer.authorities ?? [],
        additionals: answer.additionals ?? [],
      });
    },
    ask(packet, done) {
      this.query(packet).then(done, () => done(null));
    },
    upstreams: () => [],
    stats: () => ({}),
    close() {},
  };
}

export const SETTINGS: DnsSettings = {
  block: 'nxdomain',
  page: { v4: null, v6: null },
  serve: ['10.0.0.0/8', '127.0.0.0/8', '::1'],
  rateLimit: { qps: 0, exempt: [] },
  forward: {},
  allowPrivate: [],
  local: { records: [], authoritative: [] },
  cache: { maxBytes: 1 << 20, leastTtl: 0, mostTtl: 86_400, staleMs: 86_400_000, prefetch: true },
  tunnel: { action: 'limit', exempt: [] },
};

export type Rig = {
  readonly handler: DnsHandler;
  readonly decisions: Decision[];
  time: number;
  /** one packet in, its answer out; null when silence is the answer */
  ask(packet: Uint8Array, options?: { from?: string; transport?: 'udp' | 'tcp' }): Promise<Read | null>;
  /** the bytes of the answer if it comes before `handle` returns, otherwise null */
  askNow(packet: Uint8Array, options?: { from?: string; transport?: 'udp' | 'tcp' }): Uint8Array | null;
};

const room = new Uint8Array(ANSWER_ROOM);

/** One packet to a handler: the answer that is there at once, or null; one that comes later goes to `late`. */
export function given(
  handler: DnsHandler,
  packet: Uint8Array,
  from: string,
  transport: Transport,
  late: (answer: Uint8Array) => void,
): Uint8Array | null {
  const later = () => (answer: Uint8Array) => late(answer.slice());
  const size = handler.handle(packet, packet.length, handler.asker(from), transport, room, later);
  return size === 0 ? null : room.slice(0, size);
}

/** Keeps what a handler notes as the proxy's records have it. */
export function noteInto(decisions: Decision[]): DnsNote {
  return (_lo, _hi, client, verdict, type, at, bytesIn, bytesOut, durationMs, host) => {
    decisions.push({
      at,
      channel: 'dns',
      client,
      host: host(),
      path: null,
      method: typeName(type),
      verdict,
      policyGeneration: 3,
      indexGeneration: 5,
      bytesIn,
      bytesOut,
      durationMs,
    });
  };
}

/** A handler with time in its hands. */
export function rig(options: {
  rule?: (name: string, client: Client, now: number) => Verdict;
  exchange?: Exchange;
  settings?: Partial<DnsSettings>;
  note?: DnsNote;
}): Rig {
  const decisions: Decision[] = [];
  const handler = createDnsHandler({
    engine: fakeEngine(options.rule ?? (() => ALLOW)),
    exchange: options.exchange ?? fakeExchange(() => ({})),
    note: options.note ?? noteInto(decisions),
    now: () => it.time,
    settings: { ...SETTINGS, ...options.settings },
  });
  const it: Rig = {
    handler,
    decisions,
    time: 1_700_000_000_000,
    askNow(packet, { from = '10.0.0.1', transport = 'udp' } = {}) {
      return given(handler, packet, from, transport, () => {});
    },
    async ask(packet, { from = '10.0.0.1', transport = 'udp' } = {}) {
      let answer = null as Uint8Array | null;
      const now = given(handler, packet, from, transport, (bytes) => {
        answer = bytes;
      });
      answer ??= now;
      // An upstream in memory answers within a few turns of the microtask queue.
      for (let turn = 0; turn < 50 && answer === null; turn++) await Promise.resolve();
      return answer === null ? null : read(answer);
    },
  };
  return it;
}
