// DNS servers as gateway.yaml names them. The syntax itself belongs to the resolver room.

import { parseUpstream } from '../resolver/upstreams.ts';
import type { Upstream } from '../resolver/types.ts';
import type { Parsed } from './values.ts';

const ADVICE = 'write IP or IP:port, for example 9.9.9.9 or "[2620:fe::fe]:53"';

/** A server of `dns.forward`: an address, never `system`. */
export function parseForwardUpstream(text: string): Parsed<Upstream> {
  if (/^(tls|https|quic|h3):\/\//i.test(text)) {
    return { ok: false, problem: 'encrypted upstreams are not in this version', advice: ADVICE };
  }
  if (text === 'system') {
    return { ok: false, problem: 'system cannot stand here', advice: ADVICE };
  }
  try {
    return { ok: true, value: parseUpstream(text) };
  } catch {
    return { ok: false, problem: `${JSON.stringify(text.slice(0, 60))} is not a DNS server`, advice: ADVICE };
  }
}

/** An entry of `dns.upstreams`: `system` or an address. */
export function parseUpstreamEntry(text: string): Parsed<'system' | Upstream> {
  if (text === 'system') return { ok: true, value: 'system' };
  const parsed = parseForwardUpstream(text);
  return parsed.ok ? parsed : { ...parsed, advice: `${ADVICE}, or system` };
}
