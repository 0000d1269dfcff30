// `npm run bench`: every measurement, a row each. `--only NAME` runs one of them, `--lists DIR` names the directory of real
// lists, `--json` prints for machines. Each measurement runs in a process of its own, so that none sees another's memory.
// `hostile` runs only when it is named, as it takes half an hour; `--scale 0.01` makes it shorter, `--seed N` another.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { tableOf, type BenchRow } from './rows.ts';

const MEASUREMENTS = {
  lookup: { file: './lookup.ts', call: 'measureLookup', lists: true },
  big: { file: './big-index.ts', call: 'measureBig', lists: false },
  decide: { file: './decide.ts', call: 'measureDecide', lists: false },
  dns: { file: './dns-load.ts', call: 'measureDns', lists: false },
  proxy: { file: './proxy-load.ts', call: 'measureProxy', lists: false },
  audit: { file: './audit.ts', call: 'measureAudit', lists: false },
  gateway: { file: './whole-gateway.ts', call: 'measureWholeGateway', lists: true },
  hostile: { file: './hostile.ts', call: 'measureHostile', lists: false },
} as const;

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    lists: { type: 'string', default: process.env['SCHOOLGATE_LISTS'] ?? '../shared/data/blocklists' },
    json: { type: 'boolean', default: false },
    seed: { type: 'string', default: '1' },
    scale: { type: 'string', default: '1' },
  },
});

async function measure(
  { file, call }: { file: string; call: string },
  listsDir: string,
): Promise<BenchRow[]> {
  const one = fileURLToPath(new URL('one.ts', import.meta.url));
  const more = ['--seed', values.seed, '--scale', values.scale];
  const child = spawn(process.execPath, ['--expose-gc', one, file, call, listsDir, ...more], {
    cwd: fileURLToPath(new URL('..', import.meta.url)),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const [code] = (await once(child, 'close')) as [number | null];
  const at = output.lastIndexOf('ROWS');
  if (code !== 0 || at === -1) throw new Error(`${file} ended with ${code}`);
  return JSON.parse(output.slice(at + 4)) as BenchRow[];
}

const names = Object.keys(MEASUREMENTS) as (keyof typeof MEASUREMENTS)[];
if (values.only !== undefined && !names.some((name) => name === values.only)) {
  process.stderr.write(`--only ${values.only}: write one of ${names.join(', ')}\n`);
  process.exit(2);
}
const rows: BenchRow[] = [];
for (const name of names) {
  if (values.only === undefined ? name === 'hostile' : values.only !== name) continue;
  const measurement = MEASUREMENTS[name];
  if (measurement.lists && !existsSync(values.lists)) {
    process.stderr.write(
      `${name}: left out, there are no lists in ${values.lists} (name them with --lists DIR)\n`,
    );
    continue;
  }
  const found = await measure(measurement, values.lists);
  rows.push(...found);
  if (!values.json) process.stdout.write(`${tableOf(found)}\n\n`);
}
if (values.json) process.stdout.write(`${JSON.stringify(rows, null, 2)}\n`);
