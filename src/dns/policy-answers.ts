// From a verdict to what the answer says: the extended error, the TTL, and what the policy thinks of the names an allowed
// answer leads through. Decides nothing that the policy has not decided.

import { decideChain } from '../policy/chain.ts';
import { parseAddress } from '../policy/networks.ts';
import type { Client, Engine, Reason, Verdict } from '../policy/types.ts';
import type { AnswerStore } from './answer-store.ts';
import { BLOCK_TTL, EDE_BLOCKED, EDE_FILTERED, EDE_NOT_READY } from './replies.ts';
import type { PageAddresses } from './replies.ts';
import type { Place } from './slab.ts';

/**
 * 14 when there is nothing to decide with, 17 when it is this group, person or hour that may not have the name, 15 when
 * a list or a rule names what was asked for.
 */
export function blockError(reason: Reason): number {
  switch (reason) {
    case 'no-index':
    case 'no-policy':
    case 'internal-error':
      return EDE_NOT_READY;
    case 'default-block':
    case 'permission':
    case 'nominated':
    case 'timed':
    case 'unrated':
    case 'identity-required':
    case 'suspended':
      return EDE_FILTERED;
    default:
      return EDE_BLOCKED;
  }
}

/**
 * Seconds an answer under this verdict may be remembered: `most`, but ten at most when the verdict turns by itself, and
 * never beyond the turn.
 */
export function ttlUnder(verdict: Verdict, now: number, most: number): number {
  if (verdict.until === null) return most;
  return Math.min(most, BLOCK_TTL, Math.max(0, Math.floor((verdict.until - now) / 1000)));
}

/**
 * The verdict for an allowed name whose kept answer leads through other names and to addresses. The engine's hashes are
 * another name's after it.
 */
export function chainVerdict(
  engine: Engine,
  store: AnswerStore,
  place: Place,
  { client, profile }: { readonly client: Client; readonly profile: number },
  verdict: Verdict,
  now: number,
): Verdict {
  const count = store.chainCount(place);
  let final = verdict;
  if (count > 0) {
    const names: number[] = [];
    let plain = true;
    let at = store.chainAt(place);
    for (let n = 0; n < count; n++) {
      names.push(at);
      at = engine.hash(store.bytes, at);
      const target = engine.decideHashed(profile, client, now);
      plain &&= target.action === 'allow' && target.until === null;
    }
    // Nearly always nothing is to be said of them.
    if (!plain) {
      final = decideChain(verdict, names, (name) => {
        engine.hash(store.bytes, name);
        return engine.decideHashed(profile, client, now);
      });
    }
  }
  const addresses = store.addressCount(place);
  if (addresses === 0 || !engine.hasAddressLists() || store.unlistedIn(place) === engine.epoch) return final;
  const listed: Uint8Array[] = [];
  for (let n = 0; n < addresses; n++) {
    const address = store.address(place, n);
    if (engine.decideAddress(address, client, now) !== null) listed.push(address);
  }
  // Who asks makes no difference to that, so it is worth noting for the next.
  if (listed.length === 0) store.setUnlisted(place, engine.epoch);
  return decideChain(final, listed, (address) => engine.decideAddress(address, client, now));
}

export type OwnVerdicts = {
  /** for a public name that was answered with an address inside */
  guarded(group: string): Verdict;
  /** for a name the gateway answers by itself */
  special(group: string): Verdict;
  /** for a name of the school's own */
  local(group: string): Verdict;
  /** for a name or a volume that looks like data carried in DNS */
  tunnel(group: string): Verdict;
};

/** Verdicts that are not the policy's; one object for each group, as the audit tells verdicts apart by what they are. */
export function createOwnVerdicts(): OwnVerdicts {
  const once = (make: (group: string) => Verdict): ((group: string) => Verdict) => {
    const made = new Map<string, Verdict>();
    return (group) => {
      let verdict = made.get(group);
      if (verdict === undefined) {
        verdict = make(group);
        made.set(group, verdict);
      }
      return verdict;
    };
  };
  return {
    guarded: once((group) => ({
      ...plain(group),
      action: 'block',
      reason: 'private-address',
      rule: 'a public name led to a private address (allow_private)',
    })),
    special: once((group) => ({
      ...plain(group),
      action: 'allow',
      reason: 'default-allow',
      rule: 'special-use names are answered here',
    })),
    local: once((group) => ({
      ...plain(group),
      action: 'allow',
      reason: 'local-allow',
      rule: 'a name of the school’s own (dns.records)',
    })),
    tunnel: once((group) => ({
      ...plain(group),
      action: 'block',
      reason: 'tunnel',
      rule: 'this looks like data carried in DNS (dns.tunnel)',
    })),
  };
}

function plain(group: string): Omit<Verdict, 'action' | 'reason' | 'rule'> {
  return { category: null, rating: null, list: null, group, overrideId: null, target: null, until: null };
}

/** The verdict for an allowed name that no upstream could answer. */
export function failedVerdict(verdict: Verdict): Verdict {
  return { ...verdict, action: 'error', reason: 'upstream', rule: 'no upstream gave an answer' };
}

/** The page's addresses as bytes. Throws an Error that names one which is no address of its family. */
export function pageAddresses(page: { v4: string | null; v6: string | null }): PageAddresses {
  return { v4: addressBytes(page.v4, 4), v6: addressBytes(page.v6, 6) };
}

function addressBytes(text: string | null, family: 4 | 6): Uint8Array | null {
  if (text === null) return null;
  const address = parseAddress(text);
  if (address === null || address.family !== family)
    throw new Error(`page.v${family}: ${text} is not an IPv${family} address`);
  const bytes = new Uint8Array(family === 4 ? 4 : 16);
  address.words.forEach((word, i) => new DataView(bytes.buffer).setUint32(i * 4, word));
  return bytes;
}
