// Where the program begins: turns the arguments over to the command line. Nothing else happens here.

import { enableCompileCache } from 'node:module';
import { fileURLToPath } from 'node:url';

// First thing: compiled code is kept on disk, which halves a start and spares each thread the memory of a compiler. It stands
// in the environment too, because a thread loads its first modules before it could ask for the cache itself. Never in the
// shared temporary directory, where another user could put code of his own.
process.env['NODE_COMPILE_CACHE'] ??= fileURLToPath(
  new URL('../node_modules/.cache/schoolgate', import.meta.url),
);
enableCompileCache(process.env['NODE_COMPILE_CACHE']);
const { runCli } = await import('./cli/cli.ts');
await runCli(process.argv);
