// Where the school's own names lead, for the proxy, which asks by text: the same data as DNS clients get. Names of special
// use that nobody here defined lead nowhere, so that the proxy asks no upstream for them either.

import { createNameHashes, hashName } from '../blocklist/hash.ts';
import type { Seed } from '../blocklist/types.ts';
import { formatAddress } from '../policy/networks.ts';
import type { Resolved, ResolvedAddress } from '../resolver/types.ts';
import { findLocal } from './local-records.ts';
import type { LocalName, LocalRecords } from './local-records.ts';
import { specialName } from './special-names.ts';
import { TYPE_A, TYPE_AAAA } from './wire.ts';

const NOWHERE: Resolved = { addresses: [], chain: [] };
const MAX_CHAIN = 8;

/** Answers for a canonical name, or null when an upstream is to be asked. `forward` are the names of `dns.forward`. */
export function createLocalLookup(deps: {
  readonly records: LocalRecords;
  readonly seed: Seed;
  readonly forward: readonly string[];
}): (name: string) => Resolved | null {
  const hashes = createNameHashes();
  const forward = new Set(deps.forward);
  const isForwarded = (name: string): boolean => {
    for (let at = name; ; at = at.slice(at.indexOf('.') + 1)) {
      if (forward.has(at)) return true;
      if (!at.includes('.')) return false;
    }
  };
  return (name) => {
    hashName(deps.seed, name, hashes);
    const local = findLocal(deps.records, hashes);
    // The names between are the school's own and no way round the policy: none is told as such.
    if (local !== null) return { addresses: addressesOf(local), chain: [] };
    return specialName(name) === null || isForwarded(name) ? null : NOWHERE;
  };
}

function addressesOf(local: LocalName): ResolvedAddress[] {
  let name: LocalName | null = local;
  for (let step = 0; name !== null && step <= MAX_CHAIN; step++) {
    const v4: readonly Uint8Array[] = name.sets.get(TYPE_A)?.data ?? [];
    const v6: readonly Uint8Array[] = name.sets.get(TYPE_AAAA)?.data ?? [];
    if (v4.length + v6.length > 0) {
      return [
        ...v4.map((bytes) => ({ address: textOf(bytes), family: 4 as const })),
        ...v6.map((bytes) => ({ address: textOf(bytes), family: 6 as const })),
      ];
    }
    name = name.target;
  }
  return [];
}

function textOf(bytes: Uint8Array): string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const words = Array.from({ length: bytes.length / 4 }, (_, i) => view.getUint32(i * 4));
  return formatAddress({ family: bytes.length === 4 ? 4 : 6, words });
}
