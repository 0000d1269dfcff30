// Who is asking: the `clients` entry with the client id of a DoT or DoH device, else the one with the narrowest network that
// holds its address, else the group for unknown clients.

import type { Group, SuspensionFact } from './groups.ts';
import {
  createNetworkTable,
  formatAddress,
  parseAddress,
  parseNetwork,
  type NetworkTable,
} from './networks.ts';
import type { Client, ClientModel, PolicyModel } from './types.ts';

type ClientEntry = {
  readonly model: ClientModel;
  readonly index: number;
  readonly suspended: SuspensionFact | null;
};

export type ClientTable = {
  readonly networks: NetworkTable<ClientEntry>;
  /** by client id, in lower case */
  readonly ids: ReadonlyMap<string, ClientEntry>;
  readonly byName: ReadonlyMap<string, ClientEntry>;
  readonly entries: readonly ClientEntry[];
  readonly cache: ClientCache;
};

/** Clients already made, by address as asked; two generations, so that a flood of addresses costs bounded memory. */
type ClientCache = { recent: Map<string, Client>; older: Map<string, Client> };

const CACHE_GENERATION = 8192;
const LONGEST_ADDRESS = 64;
const ID = /^id:([a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)$/i;

/** The client id, in lower case, in a `match` entry such as `id:tablet-7`; null when it is no id. */
export function readMatchId(text: string): string | null {
  return ID.exec(text)?.[1]?.toLowerCase() ?? null;
}

/** Entries that cannot be read are left out, so that their addresses are unknown clients; the check reports them. */
export function compileClients(model: PolicyModel): ClientTable {
  const entries = model.clients.map((client, index): ClientEntry => {
    const { suspended } = client;
    const fact =
      suspended === undefined
        ? null
        : { until: suspended.until ?? Infinity, reason: suspended.reason, of: `device ${client.name}` };
    return { model: client, index, suspended: fact };
  });
  const byName = new Map<string, ClientEntry>();
  for (const entry of entries) if (!byName.has(entry.model.name)) byName.set(entry.model.name, entry);
  const networks = createNetworkTable(
    entries.flatMap((value) =>
      value.model.match.flatMap((text) => {
        const network = parseNetwork(text);
        return network === null ? [] : [{ network, value }];
      }),
    ),
  );
  const ids = new Map<string, ClientEntry>();
  for (const entry of entries) {
    for (const text of entry.model.match) {
      const id = readMatchId(text);
      if (id !== null && !ids.has(id)) ids.set(id, entry);
    }
  }
  return { networks, ids, byName, entries, cache: { recent: new Map(), older: new Map() } };
}

/** The part of a compiled policy that says who is who. */
export type ClientPolicy = {
  readonly clients: ClientTable;
  readonly groups: ReadonlyMap<string, Group>;
  readonly unknown: Group;
};

/**
 * The client at an address: longest prefix first, `::ffff:` forms as IPv4, no match (or no address at all) is the
 * policy's `unknown` group. An id that the policy knows decides before the address; any other is as if there were none. The
 * same address gives the same object while it stays among the last thousands asked for.
 */
export function resolveClient(policy: ClientPolicy, address: string, clientId: string | null = null): Client {
  const { cache, ids } = policy.clients;
  const known = clientId === null ? undefined : ids.get(clientId.toLowerCase());
  // an id holds no space, and no address begins with one
  const key = known === undefined ? address : ` ${clientId} ${address}`;
  const held = cache.recent.get(key);
  if (held !== undefined) return held;
  const client = cache.older.get(key) ?? makeClient(policy, address, known ?? null);
  // what is no address is not worth remembering, and may be long
  if (address.length > LONGEST_ADDRESS) return client;
  if (cache.recent.size >= CACHE_GENERATION) {
    cache.older = cache.recent;
    cache.recent = new Map();
  }
  cache.recent.set(key, client);
  return client;
}

/**
 * A client made up to try the policy with; null when the policy has no such group or class. A class alone brings its
 * group. A group alone counts as identified (class ''), so that its rules are seen and not its sign-in.
 */
export function inventClient(
  policy: ClientPolicy,
  who: { group?: string; class?: string; user?: string },
): Client | null {
  const inClass = policy.clients.entries.find(
    ({ model }) => model.class !== undefined && model.class === who.class,
  );
  if (who.class !== undefined && inClass === undefined) return null;
  const name = who.group ?? inClass?.model.group ?? policy.unknown.name;
  const group = policy.groups.get(name);
  if (group === undefined) return null;
  return {
    address: '',
    device: null,
    group: name,
    class: who.class ?? (who.group !== undefined && group.identity === 'class' ? '' : null),
    user: who.user ?? null,
    inCharge: null,
  };
}

function makeClient(policy: ClientPolicy, text: string, known: ClientEntry | null): Client {
  const parsed = parseAddress(text);
  const address = parsed === null ? text.slice(0, LONGEST_ADDRESS) : formatAddress(parsed);
  const entry = known ?? (parsed === null ? null : policy.clients.networks.findParsed(parsed));
  return {
    address,
    device: entry?.model.name ?? null,
    group: entry?.model.group ?? policy.unknown.name,
    class: entry?.model.class ?? null,
    user: null,
    inCharge: null,
  };
}
