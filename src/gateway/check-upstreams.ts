// Asks every configured upstream one harmless question over its own way, for a technician who wants to know why names do not
// resolve. Needs no running gateway, opens no data, and records nothing.

import { RECURSION_DESIRED, encode } from 'dns-packet';
import { pino } from 'pino';
import type { AnyUpstream } from '../resolver/types.ts';
import { upstreamText } from '../resolver/upstreams.ts';
import { toDataSettings } from '../workers/data-settings.ts';
import type { DataSettings } from '../workers/messages.ts';
import { openExchange } from '../workers/open-exchange.ts';
import { ALL_DOMAINS } from '../workers/upstream-reports.ts';
import { load } from './load.ts';

export type UpstreamCheck = {
  readonly upstream: string;
  readonly kind: 'udp' | 'tls' | 'https';
  /** whose names it is asked for; `.` stands for all others */
  readonly domain: string;
  readonly ok: boolean;
  /** until the answer, or until it was given up */
  readonly ms: number;
  /** null when it is well */
  readonly reason: string | null;
};

/** As long as a client would wait. */
const TIMEOUT_MS = 4000;
const NXDOMAIN = 3;
const RCODES: Readonly<Record<number, string>> = {
  1: 'it answered FORMERR: it does not understand the question',
  2: 'it answered SERVFAIL: it could not find the answer itself',
  4: 'it answered NOTIMP: it does not answer such questions',
  5: 'it answered REFUSED: it does not serve this address, or not this name',
};

const questionFor = (domain: string): Uint8Array =>
  encode({
    type: 'query',
    id: 0,
    flags: RECURSION_DESIRED,
    questions: [{ type: 'NS', name: domain === ALL_DOMAINS ? '.' : domain, class: 'IN' }],
    additionals: [
      {
        type: 'OPT',
        name: '.',
        udpPayloadSize: 1232,
        extendedRcode: 0,
        ednsVersion: 0,
        flags: 0,
        flag_do: false,
        options: [],
      },
    ],
  });

async function check(
  upstream: AnyUpstream,
  domain: string,
  settings: DataSettings,
  timeoutMs: number,
): Promise<UpstreamCheck> {
  const exchange = openExchange({ upstreams: [upstream], settings, now: Date.now, timeoutMs });
  const began = performance.now();
  let reason: string | null;
  try {
    const rcode = ((await exchange.query(questionFor(domain)))[3] as number) & 15;
    reason = rcode === 0 || rcode === NXDOMAIN ? null : (RCODES[rcode] ?? `it answered with RCODE ${rcode}`);
  } catch (error) {
    reason = exchange.upstreams()[0]?.trouble?.reason ?? (error as Error).message;
  } finally {
    exchange.close();
  }
  return {
    upstream: upstreamText(upstream),
    kind: 'kind' in upstream ? upstream.kind : 'udp',
    domain,
    ok: reason === null,
    ms: Math.round((performance.now() - began) * 10) / 10,
    reason,
  };
}

/**
 * Each upstream of dns.upstreams and dns.forward, in the order written.
 * @throws Error when the configuration has mistakes, or names no upstream at all
 */
export async function checkUpstreams(deps: {
  readonly configFile: string;
  readonly timeoutMs?: number;
}): Promise<UpstreamCheck[]> {
  const { config } = load(deps.configFile, pino({ level: 'fatal' }));
  // The certificate of DoT and DoH is none of this, and its key may not be for whoever asks.
  const settings = toDataSettings({ ...config, tls: null }, config.listen);
  const all = [
    ...settings.upstreams.map((upstream) => ({ upstream, domain: ALL_DOMAINS })),
    ...Object.entries(settings.forward).flatMap(([domain, to]) =>
      to.map((upstream) => ({ upstream, domain })),
    ),
  ];
  if (settings.upstreams.length === 0)
    throw new Error('no upstream is known: name one under dns.upstreams in gateway.yaml');
  return Promise.all(
    all.map(({ upstream, domain }) => check(upstream, domain, settings, deps.timeoutMs ?? TIMEOUT_MS)),
  );
}
