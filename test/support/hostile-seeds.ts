// Good messages that hostile runs break: queries of every kind a client sends, and answers of every kind an upstream gives.

import { query, wireName } from '../dns/fixture.ts';

const NAMES = [
  'a.example',
  'www.bet.example',
  'BET.example',
  'worst.example',
  'www.honest.example',
  'x.local',
  'printer.school.example',
  'nothing.school.example',
  '_dns.resolver.arpa',
  '1.0.0.127.in-addr.arpa',
  '.',
  'localhost',
  'a'.repeat(63) + '.example',
  Array.from({ length: 127 }, () => 'a').join('.'),
  'www.google.com',
];
const TYPES = [1, 2, 5, 6, 12, 15, 16, 28, 33, 41, 48, 64, 65, 249, 251, 252, 255, 257, 65280, 0];
/** a cookie, client subnet, padding, keepalive, an unknown one */
const OPTIONS = [
  '000a0008000102030405060f',
  '0008000700011800c00002',
  '000c00040000',
  '000b0000',
  'fde90003616263',
];

/** Every name with every type, with and without EDNS; deterministic. */
export function seedQueries(): Buffer[] {
  return NAMES.flatMap((name, n) =>
    TYPES.map((type, t) => {
      const which = (n * 7 + t) % 9;
      const options = Buffer.from(OPTIONS[which] ?? '', 'hex');
      const version = which === 7 ? 1 : 0;
      return query(name, {
        type,
        class: which === 8 ? 255 : 1,
        flags: [0x0100, 0x0120, 0x0110, 0][which % 4] as number,
        edns:
          which === 6
            ? null
            : {
                size: [512, 1232, 4096, 0, 65535][which % 5] as number,
                version,
                dnssecOk: t % 3 === 0,
                options,
              },
      });
    }),
  );
}

const record = (owner: string, type: number, data: string, ttl = '00000e10'): Buffer => {
  const bytes = Buffer.from(data, 'hex');
  const head = Buffer.from(`${owner}${type.toString(16).padStart(4, '0')}0001${ttl}`, 'hex');
  return Buffer.concat([head, Buffer.from([bytes.length >> 8, bytes.length & 255]), bytes]);
};
const name = (text: string): string => wireName(text).toString('hex');

/** The question is for the name `asked`; its bytes are put in by whoever sends the answer. */
export function seedAnswers(asked: string, type: number): Buffer[] {
  const question = query(asked, { type, edns: null });
  const soa = record('c00c', 6, `${name('ns.example')}${name('host.example')}${'00000001'.repeat(5)}`);
  const opt = Buffer.from('00002904d0000080000006000f00020006', 'hex');
  const a = record('c00c', 1, 'c0000202');
  const cname = record('c00c', 5, name('other.example'));
  const toBlocked = record('c00c', 5, name('cdn.bet.example'));
  const kinds: [Buffer[], Buffer[], Buffer[]][] = [
    [[a], [], [opt]],
    [[a, a, record('c00c', 28, '20010db8' + '00'.repeat(11) + '01')], [], []],
    [[cname, record(name('other.example'), 1, 'c0000203')], [], [opt]],
    [[toBlocked, record(name('cdn.bet.example'), 1, 'c0000204')], [], [opt]],
    [[record('c00c', 5, '03777777c00c'), record('c00c', 1, 'c0000205')], [], [opt]],
    [[record(name('example'), 39, name('bet.example')), cname], [], []],
    [
      [record('c00c', 65, '0001' + '00' + '0001000302683200040008c0000202c0000203' + '00050004deadbeef')],
      [],
      [opt],
    ],
    [[record('c00c', 65, `0000${name('www.bet.example')}`)], [], []],
    [
      [
        record('c00c', 16, '0b68656c6c6f20776f726c64'),
        record(
          'c00c',
          46,
          '0010080200000e10' + '6000000050000000' + '1234' + name('example') + 'aa'.repeat(64),
        ),
      ],
      [],
      [opt],
    ],
    [[record('c00c', 15, `000a${name('mail.example')}`)], [record('c00c', 2, name('ns.example'))], [a, opt]],
    [[], [soa], [opt]],
    [[], [], []],
    [[record('c00c', 1, 'c0000202', 'ffffffff')], [], []],
    [[record('c00c', 1, '0a000001')], [], []],
    [Array.from({ length: 60 }, () => a), [], [opt]],
  ];
  return kinds.map(([answers, authority, additional], kind) => {
    const message = Buffer.concat([question, ...answers, ...authority, ...additional]);
    const rcode = kind === 10 ? 3 : kind === 11 ? 5 : 0;
    message.set([0x81, 0x80 | rcode, 0, 1, 0, answers.length, 0, authority.length, 0, additional.length], 2);
    return message;
  });
}
