// Why an upstream did not answer, in words that say what to do about it: what the system, TLS or a way to an upstream reports,
// put for a technician. Asks nobody anything.

import type { AnyUpstream } from './types.ts';

const UNTRUSTED = 'its certificate is not trusted: name its authority under dns.upstream_ca';
const NO_WAY = 'there is no way to its address: see whether the line is up';
const CLOSED = 'it closed the connection before it answered';

const BY_CODE: Readonly<Record<string, string>> = {
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNTRUSTED,
  UNABLE_TO_GET_ISSUER_CERT: UNTRUSTED,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNTRUSTED,
  SELF_SIGNED_CERT_IN_CHAIN: UNTRUSTED,
  DEPTH_ZERO_SELF_SIGNED_CERT: UNTRUSTED,
  CERT_UNTRUSTED: UNTRUSTED,
  CERT_SIGNATURE_FAILURE: UNTRUSTED,
  INVALID_CA: UNTRUSTED,
  CERT_HAS_EXPIRED: "its certificate has expired, or this machine's clock is wrong",
  CERT_NOT_YET_VALID: "its certificate is not valid yet, or this machine's clock is wrong",
  CERT_REVOKED: 'its certificate was revoked',
  ECONNREFUSED: 'it refuses the connection: nothing listens at this address and port',
  ECONNRESET: CLOSED,
  EPIPE: CLOSED,
  ETIMEDOUT: 'it cannot be connected to: no answer to the attempt',
  ENETUNREACH: NO_WAY,
  EHOSTUNREACH: NO_WAY,
  ENETDOWN: NO_WAY,
  EADDRNOTAVAIL: NO_WAY,
  EACCES: "this machine's firewall does not let it be asked",
  EPERM: "this machine's firewall does not let it be asked",
  EMFILE: 'this process has no file descriptor left',
  ENFILE: 'this machine has no file descriptor left',
  ERR_SSL_WRONG_VERSION_NUMBER: 'it does not speak TLS at this port',
  ERR_SSL_PACKET_LENGTH_TOO_LONG: 'it does not speak TLS at this port',
  ERR_SSL_NO_APPLICATION_PROTOCOL: 'it does not offer this kind of DNS at this port',
  ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL: 'it does not offer this kind of DNS at this port',
};

const LONGEST = 200;
/** Nothing that a server sends may begin a new line, or colour one, in a log or a terminal. */
const UNPRINTABLE = /[^\x20-\x7e]+/g;

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '');

export function plainReason(error: Error, upstream: AnyUpstream): string {
  const { code: given, reason: tlsReason } = error as { code?: unknown; reason?: unknown };
  const code = textOf(given);
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    const host = 'kind' in upstream ? upstream.host : upstream.address;
    return `its certificate is for another name than ${host}`;
  }
  // `hasOwn`, because what a code says is not ours.
  const known = Object.hasOwn(BY_CODE, code) ? BY_CODE[code] : undefined;
  if (known !== undefined) return known;
  if (code.startsWith('ERR_SSL_') || code === 'EPROTO') {
    const said = textOf(tlsReason) || code.slice('ERR_SSL_'.length).toLowerCase().replaceAll('_', ' ');
    return clean(
      said.includes('alert') ? `it ended TLS: ${said.replace(/^.*alert /, 'alert ')}` : `TLS failed: ${said}`,
    );
  }
  return clean(error.message === '' ? code || 'no reason given' : error.message);
}

const clean = (text: string): string => text.replace(UNPRINTABLE, ' ').trim().slice(0, LONGEST);
