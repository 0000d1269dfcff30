// The DNS thread of the gateway, which dies when it is told to forget the name `die.example`.

import { parentPort } from 'node:worker_threads';
import type { ToDataThread } from '../../src/workers/messages.ts';

parentPort!.on('message', (message: ToDataThread) => {
  if (message.kind !== 'update' || message.update.kind !== 'purge') return;
  if (message.update.names?.includes('die.example')) process.exit(7);
});
await import('../../src/workers/dns-thread.ts');
