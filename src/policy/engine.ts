// The seam that DNS, proxy and web decide through: holds the policy, index and overrides in force in one thread, and
// answers for everything that can go wrong with them. The order of decisions is decide.ts's.

import { createNameHashes, hashName, hashWireName } from '../blocklist/hash.ts';
import { addAddressLists, findAddressSet, holdsAddresses } from '../blocklist/lookup-address.ts';
import { createMatches, lookup } from '../blocklist/lookup.ts';
import { isIpLiteral, suffixName } from '../blocklist/names.ts';
import type { BlockIndex, ListInfo, Seed } from '../blocklist/types.ts';
import { inventClient, resolveClient } from './clients.ts';
import { compilePolicy, type CompiledPolicy } from './compile.ts';
import { decide, type Asked } from './decide.ts';
import { createDecisionMemo } from './decision-memo.ts';
import { addressBytes, addressOf, formatAddress, parseAddress } from './networks.ts';
import { compileOverrides } from './overrides.ts';
import { createScene, setSceneOverrides, type Scene } from './scene.ts';
import { localName } from './suffix-table.ts';
import type { Client, Engine, Override, TraceStep, Traits, Verdict } from './types.ts';
import { bareVerdict } from './verdicts.ts';

/** Decisions without an error after which a policy and index need no predecessor to fall back on. */
const PROVEN = 1000;
/** Bare verdicts kept; beyond it they are made anew. */
const BARE_KEPT = 256;

const NO_POLICY_TRAITS: Traits = { serviceRecords: 'deny' };

const RULES = {
  'no-policy': 'no policy is in force, so everything is blocked',
  'no-index': 'no blocklists are loaded, so everything is blocked',
  malformed: 'this is not a name that can be asked for',
  'internal-error': 'the gateway could not decide, so it blocks',
} as const;

/** A scene with how it has fared: `clean` counts decisions without an error, `failed` that there was one. */
type Holding = { readonly scene: Scene; clean: number; failed: boolean };

/**
 * One engine per thread. `seed` is used until an index brings its own. `onError` hears of every internal error, which is
 * answered by the group's `fail` and never thrown; set* throw when what they are given cannot be used, and change nothing.
 */
export function createEngine(deps: { seed: Seed; onError?: (error: unknown) => void }): Engine {
  let index: BlockIndex | null = null;
  let policy: CompiledPolicy | null = null;
  let overrides: readonly Override[] = [];
  let current: Holding | null = null;
  // the pair in force before, kept for groups that fail to last-good until the current one has proved itself
  let previous: Holding | null = null;
  const generations = { policy: 0, index: 0, overrides: 0 };
  const asked: Asked = { hashes: createNameHashes(), byAddress: false, address: null };
  // of its own, so that deciding the addresses of an answer leaves the hashes of its name alone
  const found: Asked = { hashes: createNameHashes(), byAddress: false, address: null };
  const matches = createMatches();
  const memo = createDecisionMemo();
  let epoch = 0;
  // whoever asks, mostly asks again
  let lastClient: Client | null = null;
  let lastProfile = 0;
  const bare = new Map<string, Verdict>();

  function putInForce(nextPolicy: CompiledPolicy | null, nextIndex: BlockIndex | null): void {
    const bound =
      nextPolicy === null || nextIndex === null
        ? null
        : createScene(nextPolicy, nextIndex, compileOverrides(overrides, nextIndex.seed));
    policy = nextPolicy;
    index = nextIndex;
    if (bound === null) return;
    if (current !== null && current.clean > 0 && !current.failed) previous = current;
    current = { scene: bound, clean: 0, failed: false };
  }

  function refuse(client: Client, reason: keyof typeof RULES): Verdict {
    const key = `${reason} ${client.group}`;
    let verdict = bare.get(key);
    if (verdict === undefined) {
      verdict = bareVerdict(client, reason, RULES[reason]);
      if (bare.size >= BARE_KEPT) bare.clear();
      bare.set(key, verdict);
    }
    return verdict;
  }

  function settled(holding: Holding, verdict: Verdict): Verdict {
    holding.clean++;
    if (holding.clean === PROVEN && holding === current) previous = null;
    return verdict;
  }

  /** After an error: the last good answer where the group says so and there is one, else a block. */
  function rescue(error: unknown, client: Client, again: (holding: Holding) => Verdict): Verdict {
    report(error);
    const failing = current;
    if (failing !== null) failing.failed = true;
    const groups = failing?.scene.policy.groups;
    if (previous !== null && groups?.get(client.group)?.fail === 'last-good') {
      try {
        return again(previous);
      } catch (second) {
        report(second);
      }
    }
    return refuse(client, 'internal-error');
  }

  function report(error: unknown): void {
    try {
      deps.onError?.(error);
    } catch {
      // whoever listens must not be able to open the filter or stop it
    }
  }

  /** The secret that names are hashed with: that of what is in force, so that the hashes serve every table. */
  const seed = (): Seed => current?.scene.policy.seed ?? index?.seed ?? deps.seed;

  const hash = (packet: Uint8Array, at: number): number => hashWireName(seed(), packet, at, asked.hashes);

  function decideHashed(profile: number, client: Client, now: number): Verdict {
    if (current === null) return refuse(client, policy === null ? 'no-policy' : 'no-index');
    const { lo, hi, count } = asked.hashes;
    const l = count > 0 ? (lo[count - 1] as number) : 0;
    const h = count > 0 ? (hi[count - 1] as number) : 0;
    const known = memo.find(l, h, profile, now);
    if (known !== null) return known;
    try {
      asked.byAddress = false;
      asked.address = null;
      const verdict = settled(current, decide(current.scene, asked, client, now, null, ''));
      memo.keep(l, h, profile, now, verdict);
      return verdict;
    } catch (error) {
      return rescueHashed(error, client, now);
    }
  }

  // a function of its own: a closure in decideHashed would cost every decision the memory of what it closes over
  function rescueHashed(error: unknown, client: Client, now: number): Verdict {
    const { lo, hi } = seed();
    return rescue(error, client, ({ scene }) => {
      // made with another secret, it cannot read these hashes
      if (scene.policy.seed.lo !== lo || scene.policy.seed.hi !== hi) return refuse(client, 'internal-error');
      return decide(scene, asked, client, now, null, '');
    });
  }

  function changed(): void {
    epoch++;
    memo.forget();
    lastClient = null;
  }

  function hostVerdict(
    { scene }: Holding,
    host: string,
    client: Client,
    now: number,
    steps: TraceStep[] | null,
  ): Verdict {
    const name = localName(host);
    if (name === null) return stop(steps, refuse(client, 'malformed'));
    asked.address = bytesOf(name);
    asked.byAddress = asked.address !== null;
    hashName(scene.policy.seed, name, asked.hashes);
    return decide(scene, asked, client, now, steps, name);
  }

  function addressVerdict({ scene }: Holding, bytes: Uint8Array, client: Client, now: number): Verdict {
    const address = addressOf(bytes);
    const text = address === null ? '' : formatAddress(address);
    hashName(scene.policy.seed, text, found.hashes);
    found.address = bytes;
    return decide(scene, found, client, now, null, text);
  }

  function rescueAddress(error: unknown, bytes: Uint8Array, client: Client, now: number): Verdict {
    return rescue(error, client, (last) => addressVerdict(last, bytes, client, now));
  }

  /** A verdict that came before the first step could be taken, told as that step. */
  function stop(steps: TraceStep[] | null, verdict: Verdict): Verdict {
    if (steps !== null) {
      steps.length = 0;
      steps.push({ step: 1, title: 'Before the first step', outcome: 'decided', detail: `${verdict.rule}.` });
    }
    return verdict;
  }

  function decideHost(host: string, client: Client, now: number, steps: TraceStep[] | null): Verdict {
    if (current === null) return stop(steps, refuse(client, policy === null ? 'no-policy' : 'no-index'));
    try {
      return settled(current, hostVerdict(current, host, client, now, steps));
    } catch (error) {
      return rescueHost(error, host, client, now, steps);
    }
  }

  function rescueHost(
    error: unknown,
    host: string,
    client: Client,
    now: number,
    steps: TraceStep[] | null,
  ): Verdict {
    if (steps !== null) steps.length = 0;
    const verdict = rescue(error, client, (last) => hostVerdict(last, host, client, now, steps));
    return verdict.reason === 'internal-error' ? stop(steps, verdict) : verdict;
  }

  return {
    generations,
    get epoch() {
      return epoch;
    },
    get seed() {
      return seed();
    },
    hashes: asked.hashes,
    hash,
    profile: (client) => memo.profile(client),
    decideHashed,
    setIndex(next, generation) {
      const { lo, hi } = policy?.seed ?? deps.seed;
      const sameSeed = next.seed.lo === lo && next.seed.hi === hi;
      putInForce(policy === null || sameSeed ? policy : compilePolicy(policy.model, next.seed), next);
      generations.index = generation;
      changed();
    },
    setPolicy(model, generation) {
      putInForce(compilePolicy(model, index?.seed ?? deps.seed), index);
      generations.policy = generation;
      changed();
    },
    setOverrides(next, generation) {
      // what was revoked must be gone from the pair to fall back on as well
      const scenes = [current, previous].flatMap((holding) => (holding === null ? [] : [holding.scene]));
      const compiled = scenes.map((scene) => compileOverrides(next, scene.policy.seed));
      scenes.forEach((scene, at) =>
        setSceneOverrides(scene, compiled[at] ?? compileOverrides([], scene.policy.seed)),
      );
      overrides = next;
      generations.overrides = generation;
      changed();
    },
    ready: () => current !== null,
    client(address, clientId) {
      if (policy !== null) return resolveClient(policy, address, clientId);
      return { address, device: null, group: 'unknown', class: null, user: null, inCharge: null };
    },
    decideWire(packet, nameOffset, client, now) {
      if (hash(packet, nameOffset) < 0 && current !== null) return refuse(client, 'malformed');
      if (client !== lastClient) {
        lastClient = client;
        lastProfile = memo.profile(client);
      }
      return decideHashed(lastProfile, client, now);
    },
    traits(client) {
      if (policy === null) return NO_POLICY_TRAITS;
      return (policy.groups.get(client.group) ?? policy.unknown).traits;
    },
    decideHost: (host, client, now) => decideHost(host, client, now, null),
    hasAddressLists: () => index !== null && holdsAddresses(index),
    decideAddress(bytes, client, now) {
      if (current === null) return refuse(client, policy === null ? 'no-policy' : 'no-index');
      if (findAddressSet(current.scene.index, bytes) === 0) return null;
      try {
        return settled(current, addressVerdict(current, bytes, client, now));
      } catch (error) {
        return rescueAddress(error, bytes, client, now);
      }
    },
    explain(host, client, now) {
      const trace: TraceStep[] = [];
      return { verdict: decideHost(host, client, now, trace), trace };
    },
    lists(host) {
      const name = localName(host);
      if (index === null || name === null) return [];
      hashName(index.seed, name, asked.hashes);
      lookup(index, asked.hashes, matches);
      const bytes = bytesOf(name);
      if (bytes !== null) addAddressLists(index, bytes, asked.hashes.count - 1, matches);
      const held: { list: ListInfo; name: string }[] = [];
      for (let i = 0; i < matches.count; i++) {
        const list = index.lists[matches.lists[i] as number];
        if (list !== undefined) held.push({ list, name: suffixName(name, matches.suffix[i] as number) });
      }
      return held;
    },
    clientFor: (who) => (policy === null ? null : inventClient(policy, who)),
    model: () => policy?.model ?? null,
  };
}

/** The bytes of an address as `localName` writes it; null for a name. */
function bytesOf(name: string): Uint8Array | null {
  const address = isIpLiteral(name) ? parseAddress(name) : null;
  return address === null ? null : addressBytes(address);
}
