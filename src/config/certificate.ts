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
  if (!cert.ok) return bad('cert', cert.problem, `write the path of a certificate in PEM; ${MAKE}`);
  const key = readPem(keyFile);
  if (!key.ok) return bad('key', key.problem, 'write the path of the certificate’s private key in PEM');
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

/** Whether everyone on the machine may read the key. */
export function isWorldReadable(keyFile: string): boolean {
  try {
    return (statSync(keyFile).mode & 0o004) !== 0;
  } catch {
    return false;
  }
}

function readPem(file: string): { ok: true; value: string } | { ok: false; problem: string } {
  try {
    const { size } = statSync(file);
    if (size > MOST_BYTES) return { ok: false, problem: `${file} is too long for a certificate or key` };
    return { ok: true, value: readFileSync(file, 'utf8') };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const why =
      code === 'ENOENT' ? 'is not there' : code === 'EACCES' ? 'may not be read' : `cannot be read (${code})`;
    return { ok: false, problem: `${file} ${why}` };
  }
}
