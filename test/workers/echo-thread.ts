// A thread as the DNS threads are, that sends every packet back, for the tests of sockets that outlive their thread. It has a
// question on its way to an upstream too, and ends in the way a message says.

import { parentPort, workerData } from 'node:worker_threads';
import { openThreadUdp } from '../../src/workers/thread-udp.ts';
import type { ThreadSockets } from '../../src/workers/messages.ts';

const { sockets, listen, upstream } = workerData as {
  sockets: ThreadSockets | null;
  listen: { address: string; port: number }[];
  upstream: { address: string; port: number };
};
const udp = await openThreadUdp(sockets);
const asker = { address: '', clientId: null };
const servers = await Promise.all(
  listen.map((endpoint, n) =>
    udp.openServer(n, {
      ...endpoint,
      handler: {
        asker: () => asker,
        asker4: () => asker,
        handle(packet, length, _asker, _transport, out) {
          for (let i = 0; i < length; i++) out[i] = packet[i]!;
          return length;
        },
      },
    }),
  ),
);
const pool = udp.createPool?.<number>({
  upstream,
  sockets: 4,
  uses: 3,
  randomId: () => Math.floor(Math.random() * 65536),
  onAnswer: () => true,
  onUnreachable: () => {},
});
for (let n = 0; n < 10; n++) pool?.send(new Uint8Array(40), n);

parentPort!.on('message', (message: { kind: string }) => {
  if (message.kind === 'exit') process.exit(7);
  if (message.kind === 'throw')
    setImmediate(() => {
      throw new Error('as the test wants it');
    });
  if (message.kind === 'drain') {
    pool?.close();
    void Promise.all(servers.map((server) => server.close())).then(() => parentPort!.close());
  }
});
parentPort!.postMessage({ kind: 'ready' });
