// A change room over a real state.db in a directory of its own, with a clock that the test moves.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { domainToASCII } from 'node:url';
import { canonicalName } from '../../src/blocklist/names.ts';
import { changeLogMigrations, createChangeLog } from '../../src/change/change-log.ts';
import type { ChangeLog } from '../../src/change/change-log.ts';
import type { GrantRequest } from '../../src/change/grant-check.ts';
import { createOverrides, overrideMigrations } from '../../src/change/overrides.ts';
import type { Overrides } from '../../src/change/overrides.ts';
import { createRecords, recordMigrations } from '../../src/change/records.ts';
import type { Records } from '../../src/change/records.ts';
import { openState } from '../../src/state/open-state.ts';
import type { State } from '../../src/state/open-state.ts';
import { createOutbox, outboxMigrations } from '../../src/state/outbox.ts';
import type { Outbox } from '../../src/state/outbox.ts';

export const START = Date.UTC(2026, 8, 7, 9);
export const HOUR = 3_600_000;
export const TESS = { who: 'tess', role: 'technician' };

export type ChangeRoom = {
  file: string;
  clock: { at: number };
  state: State;
  outbox: Outbox;
  changeLog: ChangeLog;
  overrides: Overrides;
  records: Records;
  restart(): void;
  close(): void;
};

export const openChange = (maxOpen = 100): ChangeRoom => {
  const dir = mkdtempSync(join(tmpdir(), 'change-'));
  const file = join(dir, 'state.db');
  const clock = { at: START };
  const now = (): number => clock.at;
  const open = () => {
    const migrations = [
      ...outboxMigrations,
      ...changeLogMigrations,
      ...overrideMigrations,
      ...recordMigrations,
    ];
    const state = openState({ file, migrations, now });
    const outbox = createOutbox({ state });
    const changeLog = createChangeLog({ state, outbox, site: 'main', now });
    const overrides = createOverrides({
      state,
      outbox,
      changeLog,
      site: 'main',
      now,
      checks: {
        canonicalName: (text) => canonicalName(text, domainToASCII),
        isPublicSuffix: (name) => ['co.uk', 'github.io'].includes(name),
        isSealed: (name) => name === 'sealed.example.com',
        isGroup: (name) => ['ks1', 'ks2', 'staff'].includes(name),
        isClass: (name) => name === 'hedgehogs',
        isUser: (name) => name === 'sam',
        maxMs: 12 * 7 * 24 * HOUR,
        maxOpen,
      },
    });
    const records = createRecords({ state, changeLog, site: 'main', now });
    return { state, outbox, changeLog, overrides, records };
  };
  const room: ChangeRoom = {
    file,
    clock,
    ...open(),
    restart: () => {
      room.state.close();
      Object.assign(room, open());
    },
    close: () => {
      room.state.close();
      rmSync(dir, { recursive: true, force: true });
    },
  };
  return room;
};

/** A grant that is right in every part; parts of it can be replaced. */
export const wish = (parts: Partial<GrantRequest> = {}): GrantRequest => ({
  names: ['games.example.com'],
  scope: { groups: ['ks1'] },
  until: START + HOUR,
  reason: 'maths lesson on probability',
  ...parts,
});
