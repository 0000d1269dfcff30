// The keys of gateway.yaml for names of the school's own: records, a hosts file, zones that are nowhere else.

import { domainToASCII } from 'node:url';
import { z } from 'zod';
import { MAX_TTL, parseRecordName, parseRecordValue } from '../../resolver/local-record.ts';
import type { RecordType } from '../../resolver/local-record.ts';
import { parseText, parseZoneName, type Parsed } from '../values.ts';
import { GATEWAY_DEFAULTS as D } from './defaults.ts';
import { optional, textOf } from './keys.ts';

/** An owner of any kind; which types it may have is checked with its records. */
const parseOwner = (text: string): Parsed<string> => parseRecordName(text, 'PTR', domainToASCII);

const parseAddressValue = (text: string): Parsed<string> => {
  const type = text.includes(':') ? 'AAAA' : 'A';
  const parsed = parseRecordValue(type, text, domainToASCII);
  if (parsed.ok) return parsed;
  return { ...parsed, advice: 'write an address such as 10.0.0.9, or { cname: intranet.inside.example }' };
};

const oneOrMore = (parse: (text: string) => Parsed<unknown>) =>
  z.union([textOf(parse), z.array(textOf(parse)).min(1).max(50)]);

const values = (type: RecordType, says: string, write: string) =>
  optional(
    oneOrMore((text) => parseRecordValue(type, text, domainToASCII)),
    { says, write: `write ${write}, or a list of them` },
  );

const records = z.strictObject({
  a: values('A', 'IPv4 addresses.', '10.0.0.9'),
  aaaa: values('AAAA', 'IPv6 addresses.', '"fd00::9"'),
  cname: optional(
    textOf((text) => parseRecordValue('CNAME', text, domainToASCII)),
    {
      says: 'Another local name, whose records this one has. It stands alone.',
      write: 'write a name such as intranet.inside.example',
    },
  ),
  mx: values('MX', 'Mail servers: priority and name.', '"10 mail.inside.example"'),
  txt: values('TXT', 'Text.', 'a text'),
  srv: values('SRV', 'Services: priority, weight, port and name.', '"0 100 389 dc1.inside.example"'),
  ptr: values('PTR', 'The name of an address; goes below an address or its reverse name.', 'a name'),
  ttl: optional(z.int().min(0).max(MAX_TTL), {
    says: 'Seconds that clients may keep these records; 60 when left out.',
    write: `write a whole number from 0 to ${MAX_TTL}`,
  }),
});

export const localNames = {
  records: optional(z.record(textOf(parseOwner), z.union([oneOrMore(parseAddressValue), records])), {
    says: "Names of the school's own, answered here for every group, also where unknown names are blocked; what a list, a rule or safe search says of the very name stays so: each with its address, several, or records by type. The reverse name of each address follows by itself: the first name written for an address. `*.name` stands for all names below that have no record.",
    write:
      'write names with addresses, for example { printer.inside.example: 10.0.0.9, www.inside.example: { cname: printer.inside.example } }',
    fallback: D.records,
  }),
  hosts_file: optional(textOf(parseText), {
    says: 'A file in hosts format with more names of the school: an address and its names on each line. Read at start and on reload; `records` and this file, in that order, win over records added by the API. Lines of loopback, 0.0.0.0 and multicast addresses are left out.',
    write: 'write a path, for example hosts',
  }),
  authoritative: optional(z.array(textOf(parseZoneName)), {
    says: 'Names that are nowhere but here: below them nothing is asked of other servers, and what has no record does not exist.',
    write: 'write a list of names, for example [inside.example]',
    fallback: D.authoritative,
  }),
} as const;
