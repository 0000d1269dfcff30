// TLS connections to an upstream: its certificate checked against the host that was written, the last session taken up again,
// its address as written or found through the plain bootstrap servers. Never plain text, whatever fails.

import { isIP } from 'node:net';
import type { LookupFunction } from 'node:net';
import type { ConnectionOptions, SecureContext, TLSSocket } from 'node:tls';
import type { SecureUpstream } from './types.ts';

// Loaded when needed: an import would cost every thread tens of milliseconds and megabytes at its start.
const tls = () => process.getBuiltinModule('node:tls');

export type SecureDialDeps = {
  readonly upstream: SecureUpstream;
  /** what the server may be asked to speak, by preference */
  readonly protocols: readonly string[];
  /** further authorities to trust, as PEM text */
  readonly authorities?: string | null;
  /** the addresses of a host that was written without; rejects with an Error that says what to write */
  readonly findHost?: (host: string) => Promise<readonly string[]>;
};

export type SecureDial = {
  /** begins a connection; throws when there is no file descriptor left */
  open(ready: (socket: TLSSocket) => void): TLSSocket;
  /** the same as options, for whoever makes its own connections */
  readonly options: () => ConnectionOptions;
};

export function createSecureDial(deps: SecureDialDeps): SecureDial {
  const { upstream, authorities } = deps;
  const { host, port } = upstream;
  let session: Buffer | undefined;
  let trusted: SecureContext | undefined;

  const find = async (): Promise<readonly string[]> => {
    if (upstream.addresses.length > 0) return upstream.addresses;
    if (deps.findHost === undefined) throw new Error(`the address of ${host} is not known`);
    try {
      return await deps.findHost(host);
    } catch (error) {
      throw new Error(`its address was not found: ${(error as Error).message}`, { cause: error });
    }
  };
  const lookup: LookupFunction = (_host, options, done) => {
    find().then(
      (addresses) => {
        const wanted = options.family === 4 || options.family === 6 ? options.family : 0;
        const found = addresses
          .map((address) => ({ address, family: isIP(address) }))
          .filter(({ family }) => family !== 0 && (wanted === 0 || family === wanted));
        const [first] = found;
        if (first === undefined) return done(new Error(`${host} has no address`), '', 4);
        if (options.all === true) done(null, found);
        else done(null, first.address, first.family);
      },
      (error: Error) => done(error, '', 4),
    );
  };
  const context = (): SecureContext | undefined => {
    if (authorities === undefined || authorities === null) return undefined;
    return (trusted ??= tls().createSecureContext({
      ca: [...tls().rootCertificates, authorities],
      minVersion: 'TLSv1.2',
    }));
  };
  const options = (): ConnectionOptions => ({
    // An IP address needs no look-up, and its certificate must bear that address.
    host,
    port,
    lookup,
    ...(isIP(host) === 0 ? { servername: host } : {}),
    ALPNProtocols: [...deps.protocols],
    minVersion: 'TLSv1.2',
    rejectUnauthorized: true,
    secureContext: context(),
  });

  return {
    options,
    open(ready) {
      const socket = tls().connect({ ...options(), session });
      socket.setNoDelay(true);
      socket.on('session', (ticket: Buffer) => (session = ticket));
      // A session that the server does not like any more must not be offered for ever.
      socket.on('error', () => (session = undefined));
      socket.once('secureConnect', () => ready(socket));
      return socket;
    },
  };
}
