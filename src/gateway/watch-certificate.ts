// Says in time that the certificate of DoT and DoH comes to its end: in the log at start, at each reload and once a day.

import type { Logger } from 'pino';
import { certificateCheck } from '../workers/certificate-check.ts';
import type { DataSettings } from '../workers/messages.ts';

const DAY_MS = 86_400_000;

export type CertificateWatch = { look(): void; stop(): void };

export function createCertificateWatch(deps: {
  readonly log: Logger;
  readonly tls: () => DataSettings['tls'];
  readonly now: () => number;
}): CertificateWatch {
  const look = (): void => {
    const check = certificateCheck(deps.tls(), deps.now());
    if (check !== null && !check.ok) deps.log.warn(`certificate: ${check.detail}`);
  };
  const timer = setInterval(look, DAY_MS);
  timer.unref();
  return { look, stop: () => clearInterval(timer) };
}
