#!/usr/bin/env node
// The command `schoolgate`. Plain JavaScript, so that an old Node can read it and say what is missing: the gateway itself
// needs Node 24, which `npm ci` brings along. Runs src/main.ts with that Node and passes signals and the exit code on.

import { spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = new URL('..', import.meta.url);
const main = fileURLToPath(new URL('src/main.ts', root));

if (Number(process.versions.node.split('.')[0]) >= 24) {
  await import(main);
} else {
  const packages = fileURLToPath(new URL('node_modules', root));
  const bundled = existsSync(packages)
    ? readdirSync(packages)
        .filter((name) => name.startsWith('node-linux-'))
        .map((name) => `${packages}/${name}/bin/node`)
        .find((path) => existsSync(path))
    : undefined;
  if (bundled === undefined) {
    console.error(
      `schoolgate needs Node 24; this is ${process.version} and none is in ${packages}. Run "npm ci" in ${fileURLToPath(root)}.`,
    );
    process.exit(1);
  }
  const child = spawn(bundled, [main, ...process.argv.slice(2)], { stdio: 'inherit' });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('exit', (code, signal) => process.exit(signal ? 1 : code));
}
