// Loads gateway.yaml and policy.yaml: every mistake of both at once, or a configuration that is complete.
// Never throws, whatever the files hold.

import { dirname, isAbsolute, join } from 'node:path';
import { availableParallelism } from 'node:os';
import { checkGateway, categoriesOf } from './check-gateway.ts';
import { readLocalNames } from './check-local-names.ts';
import { checkPolicyFile } from './check-policy.ts';
import { findShapeErrors } from './findings.ts';
import { mapping, meaning } from './raw.ts';
import { readConfigFile } from './read-file.ts';
import { resolveGateway } from './resolve-gateway.ts';
import { resolvePolicy } from './resolve-policy.ts';
import { GATEWAY_DEFAULTS } from './schema/defaults.ts';
import { GATEWAY_LATER, gatewaySchema } from './schema/gateway.ts';
import { POLICY_LATER, policySchema } from './schema/policy.ts';
import { parseText } from './values.ts';
import { formatPath, readYamlTree, type YamlTree } from './yaml-tree.ts';
import type { ConfigError, ConfigWarning, Finding, LoadedConfig } from './types.ts';

const MOST_TOLD = 100;

type Told = { readonly error: ConfigError; readonly level: 'error' | 'warning' };

/** `file:line:column key: what is wrong, what to write`. */
export function formatError(error: ConfigError): string {
  const key = error.key === '' ? '' : ` ${error.key}:`;
  return `${error.file}:${error.line}:${error.column}${key} ${error.problem}, ${error.advice}`;
}

/**
 * Loads the configuration that begins at `file` (gateway.yaml).
 * @param machine how many cores `workers: auto` may count on; the machine's own when left out
 */
export function loadConfig(
  file: string,
  machine: { readonly cores: number } = { cores: availableParallelism() },
): LoadedConfig {
  const gateway = readTree(file);
  const data = gateway.tree?.data;
  const bare = resolveGateway(file, data, machine.cores);
  const gatewayShape = data === undefined ? [] : findShapeErrors(gatewaySchema, data, GATEWAY_LATER);
  const { findings, lists } = data === undefined ? { findings: [], lists: [] } : checkGateway(data, bare);
  const local = readLocalNames(data, bare);
  const told = inOrder([
    ...gateway.told,
    ...tell(file, gateway.tree, [...gatewayShape, ...findings, ...local.findings]),
  ]);

  // without gateway.yaml nobody knows which policy is meant, or what its categories are
  if (gateway.missing) return { ok: false, errors: told.map(({ error }) => error) };

  const policyFile = policyFileAsWritten(file, data);
  const second = readTree(policyFile);
  const policy = resolvePolicy(second.tree?.data, bare.school.timezone);
  const policyData = second.tree?.data;
  const policyFindings =
    policyData === undefined
      ? []
      : [
          ...findShapeErrors(policySchema, policyData, POLICY_LATER),
          ...checkPolicyFile(policyData, policy, categoriesOf(bare.lists)),
        ];
  told.push(...inOrder([...second.told, ...tell(policyFile, second.tree, policyFindings)]));

  const errors = told.filter(({ level }) => level === 'error').map(({ error }) => error);
  if (errors.length > 0) return { ok: false, errors };
  const warnings: ConfigWarning[] = told.map(({ error }) => error);
  const dns = { ...bare.dns, local: { ...bare.dns.local, records: local.records } };
  return { ok: true, config: { ...bare, lists, dns }, policy, warnings };
}

function policyFileAsWritten(file: string, data: unknown): string {
  const written = meaning(mapping(data)['policy'], parseText, GATEWAY_DEFAULTS.policy);
  return isAbsolute(written) ? written : join(dirname(file), written);
}

function readTree(file: string): { tree: YamlTree | null; missing: boolean; told: Told[] } {
  const text = readConfigFile(file);
  if (!text.ok) {
    const error = { file, line: 1, column: 1, key: '', problem: text.problem, advice: text.advice };
    return { tree: null, missing: true, told: [{ error, level: 'error' }] };
  }
  const tree = readYamlTree(text.value);
  const told = tree.problems.map((problem): Told => ({ error: { file, ...problem }, level: 'error' }));
  return { tree, missing: false, told };
}

/** Findings with their lines; only the first of several for one key. */
function tell(file: string, tree: YamlTree | null, findings: readonly Finding[]): Told[] {
  if (tree === null) return [];
  const taken = new Set(tree.problems.map(({ line, column }) => `${line}:${column}`));
  const told: Told[] = [];
  // an error hides a warning at the same place
  const ordered = [...findings].sort((a, b) => Number(a.level === 'warning') - Number(b.level === 'warning'));
  for (const { path, at, level, problem, advice } of ordered) {
    const { line, column } = tree.place(path, at);
    const spot = `${line}:${column}:${formatPath(path)}`;
    if (taken.has(spot) || taken.has(`${line}:${column}`)) continue;
    taken.add(spot);
    told.push({ error: { file, line, column, key: formatPath(path), problem, advice }, level });
  }
  return told;
}

/** In the order of the file; beyond a hundred, the rest is counted. */
function inOrder(told: readonly Told[]): Told[] {
  const sorted = [...told].sort((a, b) => a.error.line - b.error.line || a.error.column - b.error.column);
  const next = sorted[MOST_TOLD];
  if (next === undefined) return sorted;
  const problem = `${sorted.length - MOST_TOLD} more mistakes follow`;
  const rest: Told = {
    level: 'error',
    error: { ...next.error, key: '', problem, advice: 'mend these first' },
  };
  return [...sorted.slice(0, MOST_TOLD), rest];
}
