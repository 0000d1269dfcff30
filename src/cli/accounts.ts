// `schoolgate accounts`: make an account, list them, give a new password, disable, enable, unlock.

import type { Command } from 'commander';
import { withApi } from './api.ts';
import { print, readCommon, Refused, table, WrongUsage, withCommon, type CommonOptions } from './options.ts';

type Account = {
  username: string;
  name: string;
  role: string;
  mustChangePassword: boolean;
  disabledAt: string | null;
  lockedUntil: string | null;
};

const MAX_INPUT = 4096;

/** The first line of standard input; a password never stands on the command line, where others could read it. */
async function readPassword(options: { passwordStdin?: boolean }): Promise<string> {
  if (!options.passwordStdin)
    throw new WrongUsage('give the password on standard input and say --password-stdin');
  let text = '';
  for await (const chunk of process.stdin.setEncoding('utf8')) {
    text += chunk as string;
    if (text.length > MAX_INPUT) break;
  }
  const password = text.split(/\r?\n/, 1)[0]!;
  if (password === '') throw new Refused('standard input holds no password');
  return password;
}

const describe = (account: Account): string =>
  `${account.username} (${account.name}), ${account.role}${account.mustChangePassword ? ', must change the password at the next sign-in' : ''}`;

export function addAccounts(program: Command): void {
  const accounts = program.command('accounts').description('who may sign in');
  withCommon(
    accounts
      .command('add')
      .description('make an account')
      .requiredOption('--username <name>', 'what to type at sign-in')
      .requiredOption(
        '--role <role>',
        'pupil, guest, staff, technician, coordinator, headteacher or governor',
      )
      .requiredOption('--name <name>', 'the name of the person')
      .option('--password-stdin', 'read the password from standard input')
      .option('--temporary', 'it must be changed at the first sign-in'),
  ).action(
    async (
      options: CommonOptions & {
        username: string;
        role: string;
        name: string;
        passwordStdin?: boolean;
        temporary?: boolean;
      },
    ) => {
      const password = await readPassword(options);
      const { username, role, name, temporary = false } = options;
      await withApi(readCommon(options), async (api) => {
        const made = await api.post<Account>('/accounts', { username, role, name, password, temporary });
        print(options, made, () => `made: ${describe(made)}`);
      });
    },
  );
  withCommon(accounts.command('list').description('all accounts')).action(async (options: CommonOptions) => {
    await withApi(readCommon(options), async (api) => {
      const items: Account[] = [];
      let cursor: string | undefined;
      do {
        const page = await api.get<{ items: Account[]; next: string | null }>('/accounts', {
          limit: '200',
          cursor,
        });
        items.push(...page.items);
        cursor = page.next ?? undefined;
      } while (cursor !== undefined);
      print(options, items, () =>
        items.length === 0
          ? 'none'
          : table(
              items.map((a) => [
                a.username,
                a.role,
                a.name,
                a.disabledAt ? 'disabled' : a.lockedUntil ? `locked until ${a.lockedUntil}` : '',
              ]),
            ),
      );
    });
  });
  withCommon(
    accounts
      .command('password <username>')
      .description('give a new password, to be changed at the next sign-in; ends a lock and every session')
      .option('--password-stdin', 'read the password from standard input')
      .option('--standing', 'it need not be changed')
      .requiredOption('--reason <text>', 'why; it is in the log'),
  ).action(
    async (
      username: string,
      options: CommonOptions & { passwordStdin?: boolean; standing?: boolean; reason: string },
    ) => {
      const password = await readPassword(options);
      await withApi(readCommon(options), async (api) => {
        const path = `/accounts/${encodeURIComponent(username)}/password`;
        const changed = await api.post<Account>(path, {
          password,
          temporary: !options.standing,
          reason: options.reason,
        });
        print(options, changed, () => `changed: ${describe(changed)}`);
      });
    },
  );
  for (const action of ['disable', 'enable', 'unlock'] as const) {
    withCommon(
      accounts
        .command(`${action} <username>`)
        .description(`${action} an account`)
        .requiredOption('--reason <text>', 'why; it is in the log'),
    ).action(async (username: string, options: CommonOptions & { reason: string }) => {
      await withApi(readCommon(options), async (api) => {
        const path = `/accounts/${encodeURIComponent(username)}/${action}`;
        const changed = await api.post<Account>(path, { reason: options.reason });
        print(options, changed, () => `${action.replace(/e?$/, 'ed')}: ${describe(changed)}`);
      });
    });
  }
}
