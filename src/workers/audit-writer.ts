// The audit writer as main sees it: a supervised thread, and the pump that carries copies of overrides and changes to it.

import type { Logger } from 'pino';
import type { Outbox } from '../state/outbox.ts';
import type { AuditThreadStart, FromAuditWriter, ToAuditWriter } from './messages.ts';
import { superviseThread } from './supervise.ts';

export type AuditWriter = {
  readonly ready: Promise<void>;
  /** Carries what waits in the outbox; rows leave it only when the writer says that they are on disk. */
  pump(): void;
  stats(): Readonly<Record<string, number>>;
  alive(): boolean;
  restarts(): number;
  /** writes all that the rings hold, then ends */
  stop(graceMs: number): Promise<void>;
};

const PUMP_ROWS = 500;
/** What was sent to a writer that died is sent again after this long. */
const RESEND_MS = 5_000;

export function createAuditWriter(deps: {
  readonly log: Logger;
  readonly start: AuditThreadStart;
  readonly outbox: Outbox;
  readonly now: () => number;
  /** the writer had to begin a new database: what was copied to the old one must be copied again */
  readonly onReplaced: () => void;
}): AuditWriter {
  const { outbox, log } = deps;
  let stats: Readonly<Record<string, number>> = {};
  let sentAt: number | null = null;

  const pump = (): void => {
    if (!thread.alive() || (sentAt !== null && deps.now() - sentAt < RESEND_MS)) return;
    const rows = outbox.drain(PUMP_ROWS);
    if (rows.length === 0) return;
    sentAt = deps.now();
    thread.post({ kind: 'copies', rows } satisfies ToAuditWriter);
  };

  const thread = superviseThread<FromAuditWriter>(
    {
      name: 'audit-writer',
      entry: new URL('./audit-thread.ts', import.meta.url),
      start: () => deps.start,
      limits: { maxOldGenerationSizeMb: 128, maxYoungGenerationSizeMb: 8 },
    },
    {
      log,
      onMessage: (message) => {
        if (message.kind === 'stats') {
          const replaced = (message.stats['replaced'] ?? 0) > (stats['replaced'] ?? 0);
          stats = message.stats;
          if (replaced) deps.onReplaced();
        }
        if (message.kind === 'copied') {
          outbox.done(message.ids);
          sentAt = null;
          pump();
        }
      },
      onReady: () => {
        sentAt = null;
        pump();
      },
      // Its successor counts from nothing.
      onDeath: () => (stats = {}),
    },
  );
  // A copy that failed is tried again without a further change.
  const again = setInterval(pump, RESEND_MS);
  again.unref();

  return {
    ready: thread.firstReady,
    pump,
    stats: () => stats,
    alive: thread.alive,
    restarts: thread.restarts,
    async stop(graceMs) {
      clearInterval(again);
      await thread.stop({ kind: 'stop' } satisfies ToAuditWriter, graceMs);
    },
  };
}
