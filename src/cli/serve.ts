// `schoolgate serve`: runs the gateway until it is told to stop. SIGTERM and SIGINT drain, SIGHUP reloads.

import type { Command } from 'commander';
import type { ServedGateway } from '../gateway/serve-gateway.ts';
import { readCommon, withCommon, type CommonOptions } from './options.ts';

export function addServe(program: Command): void {
  withCommon(program.command('serve').description('run the gateway'), 'text').action(
    async (options: CommonOptions) => {
      const { config, data } = readCommon(options);
      const { serveGateway } = await import('../gateway/serve-gateway.ts');
      const abort = new AbortController();
      // The handlers stand before the start, so that a signal during it is not lost; a second one changes nothing.
      const started = Promise.withResolvers<ServedGateway>();
      started.promise.catch(() => {});
      const onStop = (): void => {
        if (abort.signal.aborted) return;
        abort.abort();
        started.promise
          .then((gateway) => gateway.stop())
          .then(
            () => process.exit(0),
            () => process.exit(0),
          );
      };
      process.on('SIGTERM', onStop);
      process.on('SIGINT', onStop);
      process.on('SIGHUP', () => void started.promise.then((gateway) => gateway.reload()).catch(() => {}));
      try {
        started.resolve(await serveGateway({ configFile: config, dataDir: data, signal: abort.signal }));
      } catch (error) {
        started.reject(error as Error);
        // Told to end before it had begun: there is nothing to report.
        if (!abort.signal.aborted) throw error;
      }
    },
  );
}
