// state.db and the rooms that live on it: accounts, sessions, overrides, revisions, the change log and its outbox.

import { userInfo } from 'node:os';
import { join } from 'node:path';
import { domainToASCII } from 'node:url';
import type { Logger } from 'pino';
import { getPublicSuffix } from 'tldts';
import { canonicalName } from '../blocklist/names.ts';
import { changeLogMigrations, createChangeLog } from '../change/change-log.ts';
import { DEFAULT_MAX_MS, DEFAULT_MAX_OPEN } from '../change/grant-check.ts';
import { createOverrides, overrideMigrations } from '../change/overrides.ts';
import { createRecords, recordMigrations } from '../change/records.ts';
import { createRevisions, revisionMigrations } from '../change/revisions.ts';
import type { GatewayConfig } from '../config/types.ts';
import { accountMigrations, createAccounts } from '../people/accounts.ts';
import { createPasswords } from '../people/passwords.ts';
import { createSessions, sessionMigrations } from '../people/sessions.ts';
import { createSetup } from '../people/setup.ts';
import type { Engine } from '../policy/types.ts';
import { openState } from '../state/open-state.ts';
import { createOutbox, outboxMigrations } from '../state/outbox.ts';

/** Whoever can edit the files or use the command line: a technician, known by the name at the machine. */
export const localAuthor = () => ({ who: `local:${userInfo().username}`, role: 'technician' }) as const;

/** `webUrl` is where the setup page is; asked when the setup link is written. @throws StateError */
export function openRecords(deps: {
  dataDir: string;
  config: GatewayConfig;
  engine: Engine;
  log: Logger;
  webUrl: () => string;
}) {
  const { dataDir, config, engine, log } = deps;
  const now = Date.now;
  const { site } = config.school;
  const state = openState({
    file: join(dataDir, 'state.db'),
    migrations: [
      ...outboxMigrations,
      ...changeLogMigrations,
      ...accountMigrations,
      ...sessionMigrations,
      ...overrideMigrations,
      ...revisionMigrations,
      ...recordMigrations,
    ],
    now,
  });
  const outbox = createOutbox({ state });
  const changeLog = createChangeLog({ state, outbox, site, now });
  const accounts = createAccounts({
    state,
    passwords: createPasswords(),
    now,
    record: ({ author, what, before, after, reason }) =>
      void changeLog.append({ author, what, before, after, reason }),
  });
  const sessions = createSessions({ state, accounts, now });
  const overrides = createOverrides({
    state,
    outbox,
    changeLog,
    site,
    now,
    checks: {
      canonicalName: (text) => canonicalName(text, domainToASCII),
      isPublicSuffix: (name) => getPublicSuffix(name, { allowPrivateDomains: true }) === name,
      isSealed: (name) => engine.lists(name).some(({ list }) => list.sealed),
      isGroup: (name) => Object.hasOwn(engine.model()?.groups ?? {}, name),
      isClass: (name) => (engine.model()?.clients ?? []).some((client) => client.class === name),
      isUser: (name) => accounts.find(name) !== null,
      maxMs: DEFAULT_MAX_MS,
      maxOpen: DEFAULT_MAX_OPEN,
    },
  });
  const revisions = createRevisions({ state, changeLog, now });
  const localRecords = createRecords({ state, changeLog, site, now });
  localRecords.takeFiles(config.dns.local.records);
  const setup = createSetup({ file: join(dataDir, 'setup-link'), pageUrl: deps.webUrl, accounts, now, log });
  return { state, outbox, changeLog, accounts, sessions, overrides, revisions, localRecords, setup };
}

export type Records = ReturnType<typeof openRecords>;
