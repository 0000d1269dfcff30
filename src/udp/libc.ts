// The few functions of the system's C library that batched datagrams need, called from JavaScript. Loaded only when asked for,
// so that a machine without the optional part runs without it. No sockets are held here, and nothing is decided.

import { getSystemErrorName } from 'node:util';

/** Results are the system's own: below 0 is an error, and `errno` says which, until the next call. */
export type Libc = {
  socket(family: number, type: number, protocol: number): number;
  setsockopt(fd: number, level: number, option: number, value: Uint8Array, length: number): number;
  getsockopt(fd: number, level: number, option: number, value: Uint8Array, length: Uint32Array): number;
  bind(fd: number, name: Uint8Array, length: number): number;
  connect(fd: number, name: Uint8Array, length: number): number;
  getsockname(fd: number, name: Uint8Array, length: Uint32Array): number;
  recvmmsg(fd: number, headers: bigint, count: number, flags: number, timeout: null): number;
  sendmmsg(fd: number, headers: bigint, count: number, flags: number): number;
  fcntl(fd: number, command: number, value: number): number;
  close(fd: number): number;
  errno(): number;
  /** where the bytes lie; they stay there as long as the view is held, and are gone when it is not */
  addressOf(bytes: Uint8Array): bigint;
};

export const EINTR = 4;
export const EAGAIN = 11;

/** Loads the functions. @throws Error when the optional part is not installed, or has no build for this machine */
export async function loadLibc(): Promise<Libc> {
  const { default: koffi } = await import('koffi');
  const lib = koffi.load(null);
  const libc = {
    socket: lib.func('socket', 'int', ['int', 'int', 'int']),
    setsockopt: lib.func('setsockopt', 'int', ['int', 'int', 'int', 'void *', 'uint']),
    getsockopt: lib.func('getsockopt', 'int', ['int', 'int', 'int', 'void *', 'void *']),
    bind: lib.func('bind', 'int', ['int', 'void *', 'uint']),
    connect: lib.func('connect', 'int', ['int', 'void *', 'uint']),
    getsockname: lib.func('getsockname', 'int', ['int', 'void *', 'void *']),
    recvmmsg: lib.func('recvmmsg', 'int', ['int', 'void *', 'uint', 'int', 'void *']),
    sendmmsg: lib.func('sendmmsg', 'int', ['int', 'void *', 'uint', 'int']),
    fcntl: lib.func('fcntl', 'int', ['int', 'int', 'int']),
    close: lib.func('close', 'int', ['int']),
  };
  return {
    ...libc,
    errno: () => koffi.errno(),
    addressOf: (bytes) => koffi.address(bytes),
  };
}

/** A failed call as an error like those of Node's own sockets. */
export function systemError(call: string, errno: number, where: string): NodeJS.ErrnoException {
  const code = getSystemErrorName(-errno);
  return Object.assign(new Error(`${call} ${code} ${where}`), { code, errno: -errno, syscall: call });
}
