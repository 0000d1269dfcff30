// The names of the gateway itself as local records, so that whoever has its name as private DNS finds it: `tls.host` with the
// client ids below it, and `web.public.host`. What the school wrote of a name is always heard before.

import { getDomain } from 'tldts';
import type { GatewayConfig } from '../config/types.ts';
import { parseAddress } from '../policy/networks.ts';
import { DEFAULT_TTL } from '../resolver/local-record.ts';
import type { LocalData, LocalRecord } from '../resolver/local-record.ts';
import type { Endpoint } from './messages.ts';

/** Where it answers DNS, as settled at start. */
type Answering = Readonly<Record<'dns' | 'dot' | 'doh', readonly Endpoint[]>>;

const isWildcard = (address: string): boolean => address === '0.0.0.0' || address === '::';
const isLoopback = (address: string): boolean => address === '::1' || address.startsWith('127.');

/** None when nobody has said at which address clients reach the gateway. `takesIds`: its certificate is for `<id>.<host>` too. */
export function ownNames(
  { web, tls, listen }: Pick<GatewayConfig, 'web' | 'tls' | 'listen'>,
  listening: Answering,
  takesIds: (host: string) => boolean,
): LocalRecord[] {
  const { host, v4, v6 } = web.public;
  const offered = [...listening.dot, ...listening.doh];
  const names = new Set<string>(host === null ? [] : [host]);
  if (tls !== null && tls.host !== null && offered.length > 0) {
    names.add(tls.host);
    if (takesIds(tls.host) && !isDomain(tls.host)) names.add(`*.${tls.host}`);
  }
  const addresses = v4 === null && v6 === null ? listenedOn(listen, listening) : [v4, v6];
  return [...names].flatMap((name) =>
    addresses.flatMap((value): LocalRecord[] => {
      const address = value === null ? null : parseAddress(value);
      if (value === null || address === null) return [];
      return [{ name, type: address.family === 4 ? 'A' : 'AAAA', value, ttl: DEFAULT_TTL }];
    }),
  );
}

/** Whether it is the domain of a school or firm: below that there are sites, which are not the gateway. */
function isDomain(host: string): boolean {
  const domain = getDomain(host);
  // of four labels one may be that of the gateway: the domains below sch.uk have three or four
  return domain === null || (domain === host && host.split('.').length <= 3);
}

/** The addresses that are written out under `listen`: of those behind a wildcard, nobody knows which clients reach. */
function listenedOn(listen: GatewayConfig['listen'], { dns, dot, doh }: Answering) {
  const plain = listen.dns.some(({ address }) => isWildcard(address)) ? [] : dns;
  const all = [...dot, ...doh, ...plain].map(({ address }) => address).filter((one) => !isWildcard(one));
  const outer = all.filter((one) => !isLoopback(one));
  return [...new Set(outer.length > 0 ? outer : all)];
}

/** The school's names, and the gateway's own where the school says nothing of them. */
export function withOwnNames(data: LocalData, own: readonly LocalRecord[]): LocalData {
  if (own.length === 0) return data;
  const written = new Set(data.records.map(({ name }) => name));
  return { ...data, records: [...data.records, ...own.filter(({ name }) => !written.has(name))] };
}
