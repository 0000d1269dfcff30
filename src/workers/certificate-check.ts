// How long the certificate of DoT and DoH still holds, as a line of the health page.

import type { DataSettings } from './messages.ts';

const DAY_MS = 86_400_000;
/** Time enough for someone to notice and to have a new one made. */
const WARN_DAYS = 21;

/** Null when there is no certificate to speak of. */
export function certificateCheck(
  tls: DataSettings['tls'],
  now: number,
): { readonly ok: boolean; readonly detail: string } | null {
  if (tls === null) return null;
  const until = new Date(tls.expiresAt).toISOString().slice(0, 10);
  const days = Math.floor((tls.expiresAt - now) / DAY_MS);
  const mend = 'put a new one in its place and send SIGHUP';
  if (tls.expiresAt <= now)
    return { ok: false, detail: `expired on ${until}, DoT and DoH clients refuse it: ${mend}` };
  if (days < WARN_DAYS)
    return { ok: false, detail: `expires on ${until}, in ${days} day${days === 1 ? '' : 's'}: ${mend}` };
  return { ok: true, detail: `good until ${until}` };
}
