// UDP sockets as plain descriptors: opened, bound, connected and closed here. Whoever opens one closes it; a thread that dies
// leaves its descriptors open. Reading and writing is in batch.ts.

import type { Libc } from './libc.ts';
import { systemError } from './libc.ts';
import { AF_INET6, NAME_BYTES, writeName } from './names.ts';
import type { SocketName } from './names.ts';

const DATAGRAM = 2;
const NONBLOCK = 0x800;
const CLOSE_ON_EXEC = 0x80000;

const F_DUPFD_CLOEXEC = 1030;
const SOL_SOCKET = 1;
const SO_SNDBUF = 7;
const SO_RCVBUF = 8;
const SO_REUSEPORT = 15;
const SO_SNDBUFFORCE = 32;
const SO_RCVBUFFORCE = 33;
const SO_MEMINFO = 55;
const IPPROTO_IPV6 = 41;
const IPV6_V6ONLY = 26;
/** Where SO_MEMINFO tells of the bytes that wait to be read, and of the datagrams that found no room. */
const MEMINFO = { bytes: 36, waiting: 0, dropped: 8 };

const where = (address: string, port: number): string =>
  address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;

function option(libc: Libc, fd: number, level: number, name: number, value: number): boolean {
  return libc.setsockopt(fd, level, name, new Uint8Array(Int32Array.of(value).buffer), 4) === 0;
}

function create(libc: Libc, name: SocketName, place: string): number {
  const fd = libc.socket(name.family, DATAGRAM | NONBLOCK | CLOSE_ON_EXEC, 0);
  if (fd < 0) throw systemError('socket', libc.errno(), place);
  return fd;
}

/** As much as is asked for when the process may, otherwise as much as the system's limit lets anyone have. */
function buffers(libc: Libc, fd: number, bytes: number): void {
  if (!option(libc, fd, SOL_SOCKET, SO_RCVBUFFORCE, bytes)) option(libc, fd, SOL_SOCKET, SO_RCVBUF, bytes);
  if (!option(libc, fd, SOL_SOCKET, SO_SNDBUFFORCE, bytes)) option(libc, fd, SOL_SOCKET, SO_SNDBUF, bytes);
}

export type BoundSocketOptions = {
  readonly address: string;
  readonly port: number;
  readonly reusePort: boolean;
  readonly bufferBytes: number;
};

/**
 * Gives the descriptor. Answers from a wildcard address would leave from whichever the system likes: there is a socket for each
 * address. @throws the system's error
 */
export function openBoundSocket(libc: Libc, options: BoundSocketOptions): number {
  const { address, port } = options;
  const name = writeName(address, port);
  const place = where(address, port);
  const fd = create(libc, name, place);
  const need = (done: boolean, what: string): void => {
    if (done) return;
    const error = systemError(what, libc.errno(), place);
    libc.close(fd);
    throw error;
  };
  const v6 = name.family === AF_INET6;
  if (v6) need(option(libc, fd, IPPROTO_IPV6, IPV6_V6ONLY, 1), 'setsockopt');
  if (options.reusePort) need(option(libc, fd, SOL_SOCKET, SO_REUSEPORT, 1), 'setsockopt');
  buffers(libc, fd, options.bufferBytes);
  need(libc.bind(fd, name.bytes, name.bytes.length) === 0, 'bind');
  return fd;
}

/** A socket towards one address, from a port that the system draws at random. @throws the system's error */
export function openConnectedSocket(
  libc: Libc,
  to: { readonly address: string; readonly port: number },
  bufferBytes: number,
): number {
  const name = writeName(to.address, to.port);
  const place = where(to.address, to.port);
  const fd = create(libc, name, place);
  buffers(libc, fd, bufferBytes);
  if (libc.connect(fd, name.bytes, name.bytes.length) !== 0) {
    const error = systemError('connect', libc.errno(), place);
    libc.close(fd);
    throw error;
  }
  return fd;
}

/** The port the socket is bound to. */
export function portOf(libc: Libc, fd: number): number {
  const name = new Uint8Array(NAME_BYTES);
  if (libc.getsockname(fd, name, Uint32Array.of(NAME_BYTES)) !== 0)
    throw systemError('getsockname', libc.errno(), `descriptor ${fd}`);
  return (name[2]! << 8) | name[3]!;
}

/** What waits in the system to be read, in bytes, and how many datagrams it had no room for; zeros where it does not tell. */
export function systemQueue(libc: Libc, fd: number): { waiting: number; dropped: number } {
  const told = new Uint32Array(MEMINFO.bytes / 4);
  const bytes = new Uint8Array(told.buffer);
  if (libc.getsockopt(fd, SOL_SOCKET, SO_MEMINFO, bytes, Uint32Array.of(MEMINFO.bytes)) !== 0)
    return { waiting: 0, dropped: 0 };
  return { waiting: told[MEMINFO.waiting]!, dropped: told[MEMINFO.dropped]! };
}

/** A second descriptor of the same socket, which stays open when the first is closed, and the other way round. */
export function duplicate(libc: Libc, fd: number): number {
  const copy = libc.fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (copy < 0) throw systemError('fcntl', libc.errno(), `descriptor ${fd}`);
  return copy;
}
