// What DNS does with a name before the policy has its say, for `explain`: who is refused, what the gateway answers by itself.
// It asks the very tables that answer, compiled once for the data in force; nothing is resolved.

import { createNameHashes, hashName } from '../blocklist/hash.ts';
import { isIpLiteral } from '../blocklist/names.ts';
import type { Seed } from '../blocklist/types.ts';
import { compileLocalRecords, findLocal } from '../dns/local-records.ts';
import type { LocalRecords } from '../dns/local-records.ts';
import { createOwnVerdicts } from '../dns/policy-answers.ts';
import { specialName } from '../dns/special-names.ts';
import { NXDOMAIN } from '../dns/wire.ts';
import { yieldsToLocal } from '../policy/local-names.ts';
import { compileNetworks, matchesNetworks } from '../policy/private-address.ts';
import type { Verdict } from '../policy/types.ts';
import type { LocalData, LocalRecord } from '../resolver/local-record.ts';
import { withOwnNames } from '../workers/own-names.ts';

/** What is in force; the same objects as long as nothing changed. */
export type DnsInForce = {
  readonly records: LocalData;
  /** the gateway's own names, where `records` says nothing of them */
  readonly ownNames: readonly LocalRecord[];
  readonly forward: Readonly<Record<string, unknown>>;
  readonly serve: readonly string[];
};

export type DnsSide = (
  host: string,
  policy: Verdict,
  /** the address that asks, or null when it is somebody made up */
  address: string | null,
) => { readonly verdict: Verdict; readonly dns: readonly string[] };

const LATER =
  'the aliases and addresses of an answer are decided on when it is resolved; only the name is explained here';

export function createDnsSide(deps: { readonly seed: Seed; readonly inForce: () => DnsInForce }): DnsSide {
  const hashes = createNameHashes();
  const own = createOwnVerdicts();
  let held: { from: DnsInForce; data: LocalData; names: LocalRecords } | null = null;

  /** Ten thousand records take a while: compiled again only when something changed. */
  const compiled = () => {
    const from = deps.inForce();
    const { seed } = deps;
    const same =
      held !== null &&
      held.from.records === from.records &&
      held.from.ownNames === from.ownNames &&
      held.from.forward === from.forward;
    if (held === null || !same) {
      const data = withOwnNames(from.records, from.ownNames);
      const names = compileLocalRecords({ ...data, forward: Object.keys(from.forward) }, seed);
      held = { from, data, names };
    }
    return { ...held, from };
  };

  return (host, policy, address) => {
    const { from, data, names } = compiled();
    const dns: string[] = [];
    if (address !== null && !matchesNetworks(address, compileNetworks(from.serve)))
      dns.push(`REFUSED: ${address} is not in dns.serve, so every question from it is turned away`);
    if (isIpLiteral(host)) return { verdict: policy, dns };
    hashName(deps.seed, host, hashes);
    const local = findLocal(names, hashes);
    const forward = isBelow(host, from.forward);
    if (local !== null) {
      if (!yieldsToLocal(policy))
        return {
          verdict: policy,
          dns: [...dns, `${host} is in dns.records, but the policy blocks that very name`],
        };
      dns.push(
        local.rcode === NXDOMAIN
          ? `answered by the gateway itself: no such name (dns.authoritative has its zone)`
          : `answered by the gateway itself: ${sourceOf(host, from)}${shown(host, data.records)}`,
      );
      return { verdict: own.local(policy.group), dns };
    }
    if (!forward && specialName(host) !== null) {
      dns.push(`answered by the gateway itself: ${host} is a special-use name, which is never asked outside`);
      return { verdict: own.special(policy.group), dns };
    }
    if (forward) dns.push('asked of the servers under dns.forward, when the policy allows it');
    return { verdict: policy, dns: [...dns, LATER] };
  };
}

/** Whether one of the names is the host or above it. */
function isBelow(host: string, names: Readonly<Record<string, unknown>>): boolean {
  for (let name = host; ; name = name.slice(name.indexOf('.') + 1)) {
    if (Object.hasOwn(names, name)) return true;
    if (!name.includes('.')) return false;
  }
}

function sourceOf(host: string, { records, ownNames }: DnsInForce): string {
  const holds = ({ name }: LocalRecord): boolean =>
    name === host || (name.startsWith('*.') && host.endsWith(name.slice(1)));
  const gateways = ownNames.some(holds) && !records.records.some(holds);
  return gateways ? 'its own name (tls.host, web.public)' : 'dns.records';
}

/** Its own records; of a wildcard's nothing more is said. */
function shown(host: string, records: readonly LocalRecord[]): string {
  const found = records.filter(({ name }) => name === host).slice(0, 8);
  return found.length === 0 ? '' : `: ${found.map(({ type, value }) => `${type} ${value}`).join(', ')}`;
}
