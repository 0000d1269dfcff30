// The certificate that gateway.yaml names: read, and seen to be one that can be shown. It looks at the two files and at
// nothing else; how long it still holds is for those who have a clock.

import { X509Certificate, createPrivateKey } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import type { Parsed } from './values.ts';

/** PEM text, and until when it holds, UTC ms. */
export type Certificate = { readonly cert: string; readonly key: string; readonly expiresAt: number };

/** A certificate with its chain, or a key, is never longer. */
const MOST_BYTES = 256 * 1024;

const MAKE = 'see "DNS over TLS and HTTPS" in README.md for how to make one';

/** Where systemd puts what it lends to a service, while that runs. */
const LENT = '/run/credentials/';
const LEND = 'it is there while the service runs, with LoadCredential in schoolgate.service set for it';
const LET_READ =
  'let that user read it and nobody else: under systemd with LoadCredential, see packaging/schoolgate.service; otherwise chown it';

/** `part` says which of the two files is at fault. */
export function readCertificate(
  certFile: string,
  keyFile: string,
):
  | { readonly ok: true; readonly value: Certificate }
  | (Extract<Parsed<never>, { ok: false }> & { readonly part: 'cert' | 'key' }) {
  const bad = (part: 'cert' | 'key', problem: string, advice: string) =>
    ({ ok: false, part, problem, advice }) as const;
  const cert = readPem(certFile);
  if (!cert.ok)
    return bad('cert', cert.problem, cert.cure ?? `write the path of a certificate in PEM; ${MAKE}`);
  const key = readPem(keyFile);
  if (!key.ok)
    return bad('key', key.problem, key.cure ?? 'write the path of the certificate’s private key in PEM');
  let shown: X509Certificate;
  try {
    shown = new X509Certificate(cert.value);
  } catch {
    return bad('cert', `${certFile} holds no certificate`, `write the path of one in PEM; ${MAKE}`);
  }
  try {
    const secret = createPrivateKey(key.value);
    if (!shown.checkPrivateKey(secret))
      return bad('key', `${keyFile} is not the key of ${certFile}`, 'write the one that it was made with');
  } catch {
    return bad(
      'key',
      `${keyFile} holds no private key that can be read`,
      'write the path of one in PEM without a passphrase',
    );
  }
  return { ok: true, value: { cert: cert.value, key: key.value, expiresAt: Date.parse(shown.validTo) } };
}

/** Whether clients that ask for this name take the certificate (PEM) for it. */
export function isNameOf(cert: string, host: string): boolean {
  return (
    new X509Certificate(cert).checkHost(host, { subject: 'never', partialWildcards: false }) !== undefined
  );
}

/** Whether everyone on the machine may read the key. */
export function isWorldReadable(keyFile: string): boolean {
  try {
    return (statSync(keyFile).mode & 0o004) !== 0;
  } catch {
    return false;
  }
}

/** `cure` is what helps when the path is right. */
function readPem(
  file: string,
): { ok: true; value: string } | { ok: false; problem: string; cure: string | null } {
  try {
    const { size } = statSync(file);
    if (size > MOST_BYTES)
      return { ok: false, problem: `${file} is too long for a certificate or key`, cure: null };
    return { ok: true, value: readFileSync(file, 'utf8') };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const lent = file.startsWith(LENT);
    if (code === 'EACCES' || code === 'EPERM')
      return { ok: false, problem: `${file} may not be read by the gateway’s user`, cure: LET_READ };
    if (code === 'ENOENT' && lent) return { ok: false, problem: `${file} is not there`, cure: LEND };
    const why = code === 'ENOENT' ? 'is not there' : `cannot be read (${code})`;
    return { ok: false, problem: `${file} ${why}`, cure: null };
  }
}
