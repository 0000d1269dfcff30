// A writer to be killed: `node audit-writer-child.ts DIR`. Writes numbered blocks in batches until it dies, and prints
// the number of the last block of each batch that the store said is in the database. No tests here.

import { writeSync } from 'node:fs';
import { join } from 'node:path';
import { openStore } from '../../src/audit/store.ts';
import { block, byOverride, visit } from './audit-events.ts';

const dir = process.argv[2]!;
const store = openStore({
  file: join(dir, 'audit.db'),
  site: 'main',
  now: Date.now,
  log: () => {},
  ballastBytes: 0,
  retention: { allowedDays: 0.00001, rowsPerStep: 50 },
});
for (let n = 0; ; n += 10) {
  const at = Date.now();
  const batch = Array.from({ length: 10 }, (_, i) => {
    const more = { at, path: `/${n + i}`, client: `10.0.${(n + i) % 250}.1` };
    return i === 9 ? byOverride(more) : block(more);
  });
  if (store.write([...batch, visit({ at }), visit({ at, host: `h${n}.example` })]))
    writeSync(1, `${n + 9}\n`);
  if (n % 100 === 0) store.maintain(Date.now());
}
