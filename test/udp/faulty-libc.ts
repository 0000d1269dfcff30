// The system's calls with faults in them, for tests: what cannot be made to happen on a healthy machine.

import koffi from 'koffi';
import type { Libc } from '../../src/udp/libc.ts';

/** Every datagram seems to come from port 0 while `on` says so, as a packet written by hand could. */
export function withPortZero(libc: Libc, on: () => boolean): Libc {
  return {
    ...libc,
    recvmmsg(fd, headers, count, flags, timeout) {
      const found = libc.recvmmsg(fd, headers, count, flags, timeout);
      for (let i = 0; i < found && on(); i++) {
        const header = new DataView(koffi.view(headers + BigInt(i * 64), 64));
        const name = header.getBigUint64(0, true);
        new DataView(koffi.view(name, 16)).setUint16(2, 0);
      }
      return found;
    },
  };
}

export type Fault = number | null;

/** Each call of `sendmmsg` takes the next of `faults`: an error number, or null for no fault; then all goes well. */
export function withSendFaults(libc: Libc, faults: Fault[]): Libc {
  let last: number | null = null;
  return {
    ...libc,
    sendmmsg(fd, headers, count, flags) {
      last = faults.shift() ?? null;
      return last === null ? libc.sendmmsg(fd, headers, count, flags) : -1;
    },
    errno: () => last ?? libc.errno(),
  };
}

/** The same for `recvmmsg`. */
export function withReceiveFaults(libc: Libc, faults: Fault[]): Libc {
  let last: number | null = null;
  return {
    ...libc,
    recvmmsg(fd, headers, count, flags, timeout) {
      last = faults.shift() ?? null;
      return last === null ? libc.recvmmsg(fd, headers, count, flags, timeout) : -1;
    },
    errno: () => last ?? libc.errno(),
  };
}
