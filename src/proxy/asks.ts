// One question to the proxy (a request or a tunnel) from its verdict to its line in the log. It knows no sockets.

import type { Channel, Client, Decision, Reason, Verdict } from '../policy/types.ts';
import { createDecideHost } from './decide-host.ts';
import { fieldValue } from './head.ts';
import type { RequestHead } from './head.ts';
import type { Refusal } from './reach.ts';
import { renderReply, wantsJson } from './replies.ts';
import type { PageKind } from './texts.ts';
import type { ProxyDeps } from './types.ts';

export type Ask = {
  readonly client: Client;
  readonly channel: Channel;
  readonly host: string;
  readonly method: string;
  readonly at: number;
  readonly policyGeneration: number;
  readonly indexGeneration: number;
  /** the Accept field, which decides the form of a page */
  readonly accept: string | null;
  verdict: Verdict;
  bytesIn: number;
  bytesOut: number;
  /** its beginning is in the log; its bytes and time follow */
  begun: boolean;
  recorded: boolean;
};

export type Fault = { readonly status: number; readonly kind: PageKind; readonly problem?: string };

export type Asks = {
  /** decides by policy; nothing is recorded yet */
  open(head: RequestHead, host: string, channel: 'http' | 'connect', address: string): Ask;
  /** writes the line of something that will last, so that it is in the log while it goes on */
  begin(ask: Ask): void;
  /** writes the line in the log, or what was missing of it; a second call does nothing */
  close(ask: Ask): void;
  /** what the proxy itself found against it becomes its verdict */
  refuse(ask: Ask, refusal: Pick<Refusal, 'action' | 'reason' | 'rule'>): void;
  /** the page that tells why, head and body */
  page(ask: Ask, fault: Fault | null, options: { keep: boolean; headOnly: boolean }): string;
  /** the page for a request that could not be read: there is no host to decide or to record */
  faultPage(fault: Fault, address: string, accept: string | null): string;
};

// nothing to decide with: the pupil did nothing wrong and the page must not say so
const NOT_READY: ReadonlySet<Reason> = new Set<Reason>(['no-index', 'no-policy', 'internal-error']);

export function createAsks(deps: ProxyDeps): Asks {
  const { engine, settings } = deps;
  const decideHost = createDecideHost(deps);

  /** Whether a group or one that it extends is called `staff`. */
  const isStaff = (group: string): boolean => {
    const groups = engine.model()?.groups ?? {};
    const seen = new Set<string>();
    for (let name: string | undefined = group; name !== undefined && !seen.has(name);) {
      if (name === 'staff') return true;
      seen.add(name);
      name = Object.hasOwn(groups, name) ? groups[name]!.extends : undefined;
    }
    return false;
  };
  const detailFor = settings.detailFor ?? ((group: string) => (isStaff(group) ? 'full' : 'simple'));
  /** `more` when the beginning was told: then the rest adds to it. */
  const lineOf = (ask: Ask, sums: Pick<Decision, 'bytesIn' | 'bytesOut' | 'durationMs'>): Decision => ({
    at: ask.at,
    channel: ask.channel,
    client: ask.client,
    host: ask.host,
    path: null,
    method: ask.method,
    verdict: ask.verdict,
    policyGeneration: ask.policyGeneration,
    indexGeneration: ask.indexGeneration,
    ...sums,
    ...(ask.begun && { more: true }),
  });
  const labelOf = (group: string): string => engine.model()?.groups[group]?.label ?? group;

  const render = (
    from: { client: Client; host: string; at: number; accept: string | null; verdict: Verdict | null },
    fault: Fault,
    options: { keep: boolean; headOnly: boolean },
  ) =>
    renderReply(
      {
        ...fault,
        host: from.host,
        at: from.at,
        verdict: from.verdict,
        groupLabel: labelOf(from.client.group),
        detail: detailFor(from.client.group),
      },
      settings,
      { json: wantsJson(from.accept), ...options },
    );

  return {
    open(head, host, channel, address) {
      const client = engine.client(address);
      const at = deps.now();
      const { policy, index } = engine.generations;
      return {
        client,
        channel,
        host,
        method: head.method,
        at,
        policyGeneration: policy,
        indexGeneration: index,
        accept: fieldValue(head.fields, 'accept'),
        verdict: decideHost(host, client, at, channel),
        bytesIn: 0,
        bytesOut: 0,
        begun: false,
        recorded: false,
      };
    },

    begin(ask) {
      if (ask.begun || ask.recorded) return;
      deps.record(lineOf(ask, { bytesIn: 0, bytesOut: 0, durationMs: 0 }));
      ask.begun = true;
    },

    close(ask) {
      if (ask.recorded) return;
      ask.recorded = true;
      const { bytesIn, bytesOut } = ask;
      deps.record(lineOf(ask, { bytesIn, bytesOut, durationMs: Math.max(0, deps.now() - ask.at) }));
    },

    refuse(ask, { action, reason, rule }) {
      // an override that could not be used is still named, so that its end in the log has a beginning
      ask.verdict = {
        ...ask.verdict,
        action,
        reason,
        rule,
        rating: null,
        list: null,
        category: null,
        until: null,
      };
    },

    page(ask, fault, options) {
      const kind: PageKind = NOT_READY.has(ask.verdict.reason) ? 'not-ready' : 'blocked';
      return render(ask, fault ?? { status: 403, kind }, options);
    },

    faultPage(fault, address, accept) {
      const client = engine.client(address);
      const from = { client, host: '', at: deps.now(), accept, verdict: null };
      return render(from, fault, { keep: false, headOnly: false });
    },
  };
}
