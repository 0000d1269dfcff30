// `schoolgate serve`: runs the gateway until it is told to stop. SIGTERM and SIGINT drain, SIGHUP reloads.

import type { Command } from 'commander';
import { readCommon, withCommon, type CommonOptions } from './options.ts';

export function addServe(program: Command): void {
  withCommon(program.command('serve').description('run the gateway'), 'text').action(
    async (options: CommonOptions) => {
      const { config, data } = readCommon(options);
      const { serveGateway } = await import('../gateway/serve-gateway.ts');
      let stop: Promise<void> | undefined;
      // The handlers stand before the start, so that a signal during it is not lost and a second one changes nothing.
      const started = Promise.withResolvers<Awaited<ReturnType<typeof serveGateway>>>();
      const onStop = (): void => {
        stop ??= started.promise.then(
          (gateway) => gateway.stop(),
          () => {},
        );
        void stop.then(() => process.exit());
      };
      process.on('SIGTERM', onStop);
      process.on('SIGINT', onStop);
      process.on(
        'SIGHUP',
        () =>
          void started.promise.then(
            (gateway) => gateway.reload(),
            () => {},
          ),
      );
      try {
        started.resolve(await serveGateway({ configFile: config, dataDir: data }));
      } catch (error) {
        started.promise.catch(() => {});
        started.reject(error as Error);
        throw error;
      }
    },
  );
}
