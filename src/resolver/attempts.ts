// One query to one server and what comes of it: written as that server is to have it, sent, its answer judged, taken to TCP when
// it was cut off or looks forged. What follows for the question, and for those who asked it, is the exchange's business.

import type { AskTable } from './ask-table.ts';
import type { Ask, Attempt, Server } from './asking.ts';
import { addCookie, hasBareOpt } from './edns.ts';
import { judgeDatagram } from './judge.ts';
import { answersQuestion, mixCase, sameLetters } from './questions.ts';
import type { Servers } from './servers.ts';

export type AttemptsDeps = {
  readonly table: AskTable;
  readonly counts: { sent: number; tcp: number; mismatched: number; spoofed: number; unreachable: number };
  readonly now: () => number;
  readonly randomId: () => number;
  readonly servers: () => Servers;
  /** the answer to the question, good for the time of the call */
  readonly answered: (ask: Ask, answer: Uint8Array) => void;
  /** an attempt has come to nothing */
  readonly lost: (ask: Ask) => void;
};

export type Attempts = {
  /** false when there is no way to the server now */
  send(ask: Ask, server: Server, clock: number, probe: boolean): boolean;
  /** what a server's way calls */
  take(server: Server, attempt: Attempt, answer: Uint8Array): boolean;
  unreachable(attempt: Attempt, error: Error): void;
  /** the question is settled; a server that was lately in trouble may still show that it is back */
  letGo(ask: Ask, clock: number): void;
  /** forgets what has lingered long enough; true when nothing is left */
  sweep(clock: number): boolean;
  close(): void;
};

type TcpReason = Exclude<Attempt['byTcp'], 'no'>;

const MAX_TCP = 2048;
/** Answers that bear the right id but not the right question; one more, and somebody is guessing. */
const MAX_MISMATCHED = 3;
const MAX_ODD_CASE = 3;
const MAX_BAD_COOKIES = 1;
const NOERROR = 0;
const NXDOMAIN = 3;

export function createAttempts(deps: AttemptsDeps): Attempts {
  const { table, counts, now, randomId } = deps;
  /** attempts whose question is settled */
  const lingering: Attempt[] = [];
  let tcpOpen = 0;
  let closed = false;

  /** Writes the packet as this server is to have it, and sends it; false when there is no way at all now. */
  function launch(attempt: Attempt, server: Server, ask: Ask, clock: number): boolean {
    const { packet, byTcp } = attempt;
    let { length } = ask;
    for (let i = 0; i < length; i++) packet[i] = ask.query[i] as number;
    attempt.mixed = attempt.cookie = false;
    if (server.kind === 'udp') {
      if (server.mixes && (byTcp === 'no' || byTcp === 'case')) {
        mixCase(packet, ask.end, randomId);
        attempt.mixed = true;
      }
      const jar = server.cookie;
      if (byTcp === 'no' && jar.use !== 'no' && hasBareOpt(packet, length, ask.end)) {
        length = addCookie(packet, length, jar.client, jar.server);
        attempt.cookie = true;
      }
    }
    if (attempt.view.length !== length) attempt.view = packet.subarray(0, length);
    attempt.sentAt = clock;
    attempt.state = 'sending';
    counts.sent++;
    server.counts.queries++;
    const way = byTcp === 'no' ? server.way : server.tcp;
    const flight = way === null ? null : way.send(attempt.view, attempt);
    // A way may say while it sends that the server is out of reach; that is the answer to this call, and nobody is told twice.
    if (flight !== null && (attempt.state as Attempt['state']) === 'sending') {
      attempt.flight = flight;
      attempt.state = 'open';
      return true;
    }
    flight?.cancel();
    attempt.state = 'closed';
    return false;
  }

  function takeDatagram(attempt: Attempt, server: Server, answer: Uint8Array): boolean {
    const judgement = judgeDatagram(attempt, server, answer);
    if (judgement === 'good') {
      receive(attempt, server, answer, ((answer[2] as number) & 2) !== 0);
      return true;
    }
    if (judgement === 'again') {
      askAgain(attempt, server);
      return true;
    }
    mismatch(server);
    if (judgement !== 'wrong') goOverTcp(attempt, server, judgement);
    else {
      // The true answer may still come.
      if (attempt.ask === null || ++attempt.ask.mismatched <= MAX_MISMATCHED) return false;
      counts.spoofed++;
      server.counts.spoofed++;
      goOverTcp(attempt, server, 'spoofed');
    }
    return true;
  }

  /** What came over a connection is from the server; whether it is an answer to this is still to be seen. */
  function takeMessage(attempt: Attempt, server: Server, answer: Uint8Array): boolean {
    if (!answersQuestion(attempt.packet, answer, attempt.end)) {
      mismatch(server);
      return false;
    }
    if (attempt.byTcp === 'case' && !sameLetters(attempt.packet, answer, attempt.end)) server.mixes = false;
    // A server of cookies that has none any more is a server like others.
    if (attempt.byTcp === 'cookie') forgetCookies(server);
    receive(attempt, server, answer, false);
    return true;
  }

  function mismatch(server: Server): void {
    counts.mismatched++;
    server.counts.mismatched++;
  }

  function forgetCookies({ cookie }: Server): void {
    cookie.use = 'unknown';
    cookie.server = null;
  }

  /** The server speaks, but wants the question put otherwise. */
  function askAgain(attempt: Attempt, server: Server): void {
    deps.servers().markWell(server);
    const { ask } = attempt;
    if (ask === null) return close(attempt);
    if (attempt.badCookies++ >= MAX_BAD_COOKIES) return goOverTcp(attempt, server, 'cookie');
    if (!launch(attempt, server, ask, performance.now())) lose(attempt);
  }

  /** By TCP nobody can easily answer in the server's stead, and nothing is cut off. */
  function goOverTcp(attempt: Attempt, server: Server, why: TcpReason): void {
    const { ask } = attempt;
    attempt.flight?.cancel();
    attempt.flight = null;
    if (ask === null) return close(attempt);
    if (tcpOpen >= MAX_TCP) return lose(attempt);
    tcpOpen++;
    counts.tcp++;
    server.counts.tcp++;
    attempt.byTcp = why;
    if (!launch(attempt, server, ask, performance.now())) lose(attempt);
  }

  /** An answer to the very question; whether it is of use shows here. */
  function receive(attempt: Attempt, server: Server, answer: Uint8Array, cut: boolean): void {
    const { ask } = attempt;
    deps.servers().markWell(server);
    server.counts.answers++;
    server.latency.add(performance.now() - attempt.sentAt);
    if (ask === null) return close(attempt);
    if (cut) {
      // A copy in any case: what a Buffer calls a slice is none.
      ask.fallback ??= new Uint8Array(answer);
      return goOverTcp(attempt, server, 'cut');
    }
    const rcode = (answer[3] as number) & 15;
    if (rcode === NOERROR || rcode === NXDOMAIN) {
      close(attempt);
      ask.open--;
      return deps.answered(ask, answer);
    }
    // A copy in any case: what a Buffer calls a slice is none.
    ask.fallback ??= new Uint8Array(answer);
    lose(attempt);
  }

  function close(attempt: Attempt): void {
    if (attempt.byTcp !== 'no') tcpOpen--;
    attempt.byTcp = 'no';
    attempt.state = 'closed';
    (attempt.server as Server).counts.inFlight--;
  }

  function lose(attempt: Attempt): void {
    const { ask, server } = attempt;
    close(attempt);
    if (ask === null || ask.over) return;
    ask.open--;
    ask.spent.push(server as Server);
    deps.lost(ask);
  }

  return {
    send(ask, server, clock, probe) {
      const attempt = table.attempt();
      attempt.ask = ask;
      attempt.server = server;
      attempt.end = ask.end;
      attempt.badCookies = 0;
      attempt.probe = probe;
      ask.attempts.push(attempt);
      if (!launch(attempt, server, ask, clock)) return false;
      server.counts.inFlight++;
      ask.open++;
      return true;
    },
    take(server, attempt, answer) {
      if (attempt.state !== 'open') return true;
      return server.kind === 'udp' && attempt.byTcp === 'no'
        ? takeDatagram(attempt, server, answer)
        : takeMessage(attempt, server, answer);
    },
    unreachable(attempt, error) {
      const { server } = attempt;
      if (server === null) return;
      counts.unreachable++;
      server.counts.failures++;
      deps.servers().markFailed(server, now(), error);
      if (attempt.state === 'sending') attempt.state = 'closed';
      if (attempt.state !== 'open') return;
      // TCP could not tell: after a few times the server is taken at its word.
      if (attempt.byTcp === 'case' && ++server.oddCase >= MAX_ODD_CASE) server.mixes = false;
      if (attempt.byTcp === 'cookie') forgetCookies(server);
      lose(attempt);
    },
    letGo(ask, clock) {
      for (const attempt of ask.attempts) {
        const server = attempt.server as Server;
        if (attempt.state !== 'open') {
          table.releaseAttempt(attempt);
          continue;
        }
        if (attempt.byTcp === 'no') {
          if (!closed && (server.failures > 0 || attempt.probe)) {
            attempt.ask = null;
            attempt.until = ask.deadline;
            lingering.push(attempt);
            continue;
          }
          server.latency.atLeast(clock - attempt.sentAt);
        }
        attempt.flight?.cancel();
        close(attempt);
        table.releaseAttempt(attempt);
      }
    },
    sweep(clock) {
      let kept = 0;
      for (const attempt of lingering) {
        if (attempt.state === 'open') {
          if (attempt.until > clock && !closed) {
            lingering[kept++] = attempt;
            continue;
          }
          attempt.flight?.cancel();
          close(attempt);
        }
        table.releaseAttempt(attempt);
      }
      lingering.length = kept;
      return kept === 0;
    },
    close() {
      closed = true;
    },
  };
}
