// DNS servers as gateway.yaml names them. The syntax itself belongs to the resolver room.

import { isSecureText, parseSecureUpstream, parseUpstream } from '../resolver/upstreams.ts';
import type { AnyUpstream, Upstream } from '../resolver/types.ts';
import type { Parsed } from './values.ts';

const PLAIN = 'write IP or IP:port, for example 9.9.9.9 or "[2620:fe::fe]:53"';
const ADVICE = `${PLAIN}, or tls://host, tls://IP#host, https://host/path or https://IP/path#host`;

/** A server of `dns.forward`: an address or an encrypted one, never `system`. */
export function parseForwardUpstream(text: string): Parsed<AnyUpstream> {
  if (text === 'system') return { ok: false, problem: 'system cannot stand here', advice: ADVICE };
  if (!isSecureText(text)) {
    const plain = parseBootstrap(text);
    return plain.ok ? plain : { ...plain, advice: ADVICE };
  }
  try {
    return { ok: true, value: parseSecureUpstream(text) };
  } catch (error) {
    return { ok: false, problem: (error as Error).message, advice: ADVICE };
  }
}

/** A plain server: an address and perhaps a port. */
export function parseBootstrap(text: string): Parsed<Upstream> {
  try {
    return { ok: true, value: parseUpstream(text) };
  } catch {
    return { ok: false, problem: `${JSON.stringify(text.slice(0, 60))} is not a DNS server`, advice: PLAIN };
  }
}

/** An entry of `dns.upstreams`: `system` or a server. */
export function parseUpstreamEntry(text: string): Parsed<'system' | AnyUpstream> {
  if (text === 'system') return { ok: true, value: 'system' };
  const parsed = parseForwardUpstream(text);
  return parsed.ok ? parsed : { ...parsed, advice: `${ADVICE}, or system` };
}
