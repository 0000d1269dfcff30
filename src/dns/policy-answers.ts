// From a verdict to what the answer says: the extended error, the TTL, and what the policy thinks of the names an allowed
// answer leads through. Decides nothing that the policy has not decided.

import { decideChain } from '../policy/chain.ts';
import { parseAddress } from '../policy/networks.ts';
import type { Client, Engine, Reason, Verdict } from '../policy/types.ts';
import { BLOCK_TTL, EDE_BLOCKED, EDE_FILTERED, EDE_NOT_READY } from './replies.ts';
import type { PageAddresses } from './replies.ts';

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

/** The verdict for an allowed name whose answer leads through the names of `chain` (wire form). */
export function chainVerdict(
  engine: Engine,
  chain: readonly Uint8Array[],
  client: Client,
  verdict: Verdict,
  now: number,
): Verdict {
  if (chain.length === 0) return verdict;
  return decideChain(verdict, chain, (name) => engine.decideWire(name, 0, client, now));
}

/** The verdict for a public name that was answered with an address inside. */
export function guardVerdict(group: string): Verdict {
  return {
    ...plain(group),
    action: 'block',
    reason: 'private-address',
    rule: 'a public name led to a private address (allow_private)',
  };
}

/** The verdict for a name the gateway answers by itself. */
export function specialVerdict(group: string): Verdict {
  return {
    ...plain(group),
    action: 'allow',
    reason: 'default-allow',
    rule: 'special-use names are answered here',
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
