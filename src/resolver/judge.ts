// Whether a datagram that bears the right id, from the right address, is the true answer: the question with its letters, the
// cookies. Learns of the server what it can; decides nothing about the question in flight.

import type { Attempt, Server } from './asking.ts';
import { findOpt, findServerCookie, fullRcode } from './edns.ts';
import { answersQuestion, sameLetters } from './questions.ts';

const FORMERR = 1;
const BADCOOKIE = 23;
/** So many answers without a cookie, and the server is taken to know nothing of them. */
const PATIENCE = 8;

/**
 * `wrong`: not an answer to this. `case`, `cookie`: it would be one but for the letters or a cookie that was due; TCP can tell.
 * `again`: the server wants the cookie that it has just given, or none at all.
 */
export type Judgement = 'good' | 'wrong' | 'case' | 'cookie' | 'again';

export function judgeDatagram(attempt: Attempt, server: Server, answer: Uint8Array): Judgement {
  if (!answersQuestion(attempt.packet, answer, attempt.end)) return 'wrong';
  if (attempt.mixed && !sameLetters(attempt.packet, answer, attempt.end)) return 'case';
  return attempt.cookie ? judgeCookie(attempt, server, answer) : 'good';
}

function judgeCookie(attempt: Attempt, server: Server, answer: Uint8Array): Judgement {
  const jar = server.cookie;
  const opt = findOpt(answer, attempt.end);
  const found = findServerCookie(answer, opt, jar.client);
  if (found < 0) return 'wrong';
  const rcode = fullRcode(answer, opt);
  if (found === 0) {
    // Once a server has shown cookies, an answer without is from somebody else, or the server has changed (RFC 7873, section 5.3).
    if (jar.use === 'yes') return 'cookie';
    if (rcode === FORMERR) {
      jar.use = 'no';
      return 'again';
    }
    if (jar.use === 'unknown' && ++jar.without >= PATIENCE) jar.use = 'no';
    return 'good';
  }
  const at = Math.floor(found / 64);
  const size = found % 64;
  jar.use = 'yes';
  jar.without = 0;
  if (!isKept(jar.server, answer, at, size)) jar.server = new Uint8Array(answer.subarray(at, at + size));
  return rcode === BADCOOKIE ? 'again' : 'good';
}

function isKept(kept: Uint8Array | null, answer: Uint8Array, at: number, size: number): boolean {
  if (kept === null || kept.length !== size) return false;
  for (let i = 0; i < size; i++) if (kept[i] !== answer[at + i]) return false;
  return true;
}
