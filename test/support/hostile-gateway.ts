// What hostile runs are let loose on: a handler with the real engine and a real cache, and a judge of its answers that shares
// no code with it. Names below bet.example and worst.example are blocked; honest.example is what good clients ask for.

import { createIndexBuilder } from '../../src/blocklist/build-index.ts';
import { openIndex } from '../../src/blocklist/open-index.ts';
import { createDnsHandler } from '../../src/dns/handle.ts';
import type { DnsHandler, DnsSettings } from '../../src/dns/types.ts';
import { createEngine } from '../../src/policy/engine.ts';
import type { PolicyModel } from '../../src/policy/types.ts';
import type { Exchange } from '../../src/resolver/types.ts';
import { SETTINGS, query } from '../dns/fixture.ts';

const SEED = { lo: 77, hi: 99 };
const BLOCKED = ['bet.example', 'worst.example'];
const GOOD_ADDRESS = Buffer.from([192, 0, 2, 1]);
const LOCAL_ADDRESS = Buffer.from([10, 0, 0, 9]);
/** A client that nobody takes for the attacker. */
export const GOOD_CLIENT = '10.200.0.1';

const MODEL: PolicyModel = {
  timezone: 'Europe/London',
  timetables: {},
  groups: {
    everyone: {
      label: 'Everyone',
      default: 'allow',
      ratings: { gambling: { kind: 'unacceptable' } },
      allow: [],
      deny: [],
    },
  },
  clients: [],
  unknown: 'everyone',
  allow: [],
  deny: [],
};

export function hostileHandler(
  exchange: Exchange,
  now: () => number,
  settings: Partial<DnsSettings> = {},
): DnsHandler {
  const builder = createIndexBuilder({ seed: SEED, toAscii: (text) => text, isPublicSuffix: () => false });
  const list = (name: string, category: string, sealed: boolean, names: string[]): void =>
    void builder.addList({ name, category, sealed, format: 'domains', match: 'format' }, names);
  list('bets', 'gambling', false, ['bet.example']);
  list('worst', 'illegal', true, ['worst.example']);
  const engine = createEngine({ seed: SEED });
  engine.setIndex(openIndex(builder.finish('hostile').buffer), 1);
  engine.setPolicy(MODEL, 1);
  return createDnsHandler({
    engine,
    exchange,
    note: () => {},
    now,
    settings: {
      ...SETTINGS,
      cache: { maxBytes: 4 << 20, leastTtl: 0, mostTtl: 86_400, staleMs: 0, prefetch: true },
      local: {
        records: [{ name: 'printer.school.example', type: 'A', value: '10.0.0.9', ttl: 60 }],
        authoritative: ['school.example'],
      },
      ...settings,
    },
  });
}

// ---- good clients

export type GoodQuery = {
  readonly packet: Buffer;
  readonly what: string;
  problem(answer: Uint8Array): string | null;
};

const rcodeOf = (answer: Uint8Array): number => (answer[3] as number) & 15;
const isNo = (answer: Uint8Array): string | null =>
  rcodeOf(answer) === 3 && answer[7] === 0 ? null : 'is not "no such name"';
const leadsTo =
  (address: Buffer) =>
  (answer: Uint8Array): string | null =>
    rcodeOf(answer) === 0 && answer[7] === 1 && Buffer.from(answer).includes(address)
      ? null
      : 'has another address';

/** One query of each kind that must be answered right whatever goes on; `turn` makes one of them new. */
export function goodQueries(turn: number): GoodQuery[] {
  const good = (what: string, name: string, problem: GoodQuery['problem']): GoodQuery => ({
    what,
    packet: query(name, { id: (turn * 5 + 1) & 0xffff }),
    problem,
  });
  return [
    good('blocked', 'www.bet.example', isNo),
    good('allowed, cached', 'www.honest.example', leadsTo(GOOD_ADDRESS)),
    good('allowed, new', `f${turn.toString(26)}.honest.example`, leadsTo(GOOD_ADDRESS)),
    good('local', 'printer.school.example', leadsTo(LOCAL_ADDRESS)),
    good('special', 'anything.invalid', isNo),
  ];
}

const HONEST = Buffer.from('\u0006honest\u0007example\u0000');

/** Whether a good client asks it: then even the liars of these runs tell the truth. */
export const isHonest = (packet: Uint8Array): boolean => Buffer.from(packet).includes(HONEST);

/** The true answer to a question for an address: one record, a minute. */
export function trueAnswer(packet: Uint8Array, questionEnd: number): Buffer {
  const record = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, ...GOOD_ADDRESS];
  const answer = Buffer.concat([packet.subarray(0, questionEnd), Buffer.from(record)]);
  answer.set([0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0], 2);
  return answer;
}

// ---- the judge

/** `searched`: a search engine, whose aliases are covered by its safe form */
type Asked = { readonly end: number; readonly blocked: boolean; readonly searched: boolean };
const NOTHING: Asked = { end: -1, blocked: false, searched: false };

/** Where the question ends in a packet of `length` bytes, or -1; and whether its name is one that is blocked. */
export function readQuestion(packet: Uint8Array, length: number): Asked {
  const labels: string[] = [];
  let at = 12;
  for (;;) {
    if (at >= length) return NOTHING;
    const size = packet[at] as number;
    if (size === 0) break;
    if (size > 63 || at + size >= length) return NOTHING;
    labels.push(textOf(packet, at + 1, at + 1 + size));
    at += size + 1;
  }
  if (at - 11 > 255 || at + 5 > length) return NOTHING;
  return { end: at + 5, blocked: isBlocked(labels), searched: labels.includes('google') };
}

/** A dot within a label is none between labels. */
const textOf = (bytes: Uint8Array, from: number, to: number): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from)
    .toString('latin1')
    .replaceAll('.', '\\.')
    .toLowerCase();

const isBlocked = (labels: readonly string[]): boolean => BLOCKED.includes(labels.slice(-2).join('.'));

/** What is wrong with an answer to a packet, or null. */
export function problemOf(
  packet: Uint8Array,
  length: number,
  answer: Uint8Array,
  size: number,
  transport: 'udp' | 'stream',
): string | null {
  if (size < 12) return 'the answer has no header';
  if (transport === 'udp' && size > 1232) return `the answer has ${size} bytes`;
  if (length < 12) return 'an answer to what has no header';
  if (answer[0] !== packet[0] || answer[1] !== packet[1]) return 'the answer has another id';
  if ((packet[2] as number) >= 0x80) return 'an answer to an answer';
  if ((answer[2] as number) < 0x80) return 'the answer is none';
  const asked = readQuestion(packet, length);
  const told = readAnswer(answer, size);
  if (typeof told === 'string') return told;
  if (told.questionEnd > 12) {
    if (asked.end !== told.questionEnd) return 'the answer has another question';
    for (let i = 12; i < told.questionEnd; i++)
      if (answer[i] !== packet[i]) return 'the answer has another question';
  }
  const rcode = rcodeOf(answer);
  if (told.questionEnd > 12 && asked.blocked && told.answers > 0) return 'a blocked name is answered';
  if (
    told.questionEnd > 12 &&
    asked.blocked &&
    ![1, 3, 4, 5].includes(rcode) &&
    !told.cut &&
    !told.badVersion
  )
    return `a blocked name is answered with ${rcode}`;
  return told.leadsToBlocked && !asked.searched ? 'the answer leads to a blocked name' : null;
}

type Told = {
  questionEnd: number;
  answers: number;
  cut: boolean;
  badVersion: boolean;
  leadsToBlocked: boolean;
};

function readAnswer(bytes: Uint8Array, size: number): Told | string {
  const uint16 = (at: number): number => ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
  const told: Told = {
    questionEnd: 12,
    answers: uint16(6),
    cut: ((bytes[2] as number) & 2) !== 0,
    badVersion: false,
    leadsToBlocked: false,
  };
  const questions = uint16(4);
  if (questions > 1) return 'the answer has several questions';
  let at = 12;
  if (questions === 1) {
    at = afterName(bytes, at, size) + 4;
    if (at < 16 || at > size) return 'the question of the answer cannot be read';
    told.questionEnd = at;
  }
  const total = told.answers + uint16(8) + uint16(10);
  for (let record = 0; record < total; record++) {
    const fields = afterName(bytes, at, size);
    if (fields < 0 || fields + 10 > size) return 'a record of the answer cannot be read';
    const type = uint16(fields);
    const data = fields + 10;
    at = data + uint16(fields + 8);
    if (at > size) return 'a record goes on beyond the answer';
    if (type === 41) told.badVersion = bytes[fields + 4] === 1;
    if (record < told.answers && (type === 5 || type === 64 || type === 65)) {
      const labels = labelsAt(bytes, type === 5 ? data : data + 2, size);
      if (labels === null) return 'a name of the answer cannot be read';
      told.leadsToBlocked ||= isBlocked(labels);
    }
  }
  return at === size ? told : 'bytes after the answer';
}

function afterName(bytes: Uint8Array, from: number, size: number): number {
  for (let at = from; at < size;) {
    const label = bytes[at] as number;
    if (label === 0) return at + 1;
    if (label >= 0xc0) return at + 2;
    if (label > 63) return -1;
    at += label + 1;
  }
  return -1;
}

function labelsAt(bytes: Uint8Array, from: number, size: number): string[] | null {
  const labels: string[] = [];
  let at = from;
  for (let hops = 0; hops < 128;) {
    const label = bytes[at];
    if (label === undefined || at >= size) return null;
    if (label === 0) return labels;
    if (label >= 0xc0) {
      at = ((label & 0x3f) << 8) | (bytes[at + 1] as number);
      hops++;
      continue;
    }
    if (label > 63 || at + label >= size) return null;
    labels.push(textOf(bytes, at + 1, at + 1 + label));
    at += label + 1;
  }
  return null;
}
