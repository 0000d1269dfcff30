// What the schema library says of a file, turned into findings in plain words with a "did you mean".
// Shape only: meaning is checked elsewhere.

import { z } from 'zod';
import { adviseKnown, suggest } from './suggest.ts';
import { keySpecs } from './schema/keys.ts';
import { quote } from './values.ts';
import type { Finding, KeyPath } from './types.ts';

type Issue = z.core.$ZodIssue;

/** Every mistake of shape in `data`. `later` names keys of other versions and why they are refused. */
export function findShapeErrors(
  schema: z.ZodType,
  data: unknown,
  later: Readonly<Record<string, string>>,
): Finding[] {
  const parsed = schema.safeParse(data);
  if (parsed.success) return [];
  return parsed.error.issues.flatMap((issue) => fromIssue(schema, data, later, issue, []));
}

function fromIssue(
  schema: z.ZodType,
  data: unknown,
  later: Readonly<Record<string, string>>,
  issue: Issue,
  above: KeyPath,
): Finding[] {
  const path: KeyPath = [
    ...above,
    ...issue.path.map((step) => (typeof step === 'number' ? step : String(step))),
  ];
  const advice = adviceFor(schema, path, data);
  const finding = (problem: string, write: string, at: 'key' | 'value' = 'value'): Finding[] => [
    { path, at, level: 'error', problem, advice: write },
  ];
  const value = valueAt(data, path);

  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => ({
        path: [...path, key],
        at: 'key',
        level: 'error',
        problem: 'there is no such key',
        advice: later[generalPath([...path, key])] ?? adviseKey(schema, path, data, key),
      }));
    case 'invalid_type':
      if (value === undefined) return finding('is missing', advice, 'key');
      return finding(`is ${kindOf(value)}, not ${expectedKind(issue.expected)}`, advice);
    case 'invalid_value': {
      if (value === undefined) return finding('is missing', advice, 'key');
      const near = typeof value === 'string' ? suggest(value, issue.values.map(String)) : null;
      const hint = near === null ? advice : `did you mean ${near}? ${advice}`;
      return finding(`${quote(value)} is not a value it can have`, hint);
    }
    case 'invalid_union': {
      if (value === undefined) return finding('is missing', advice, 'key');
      const fitting = fittingBranch(issue.errors, value);
      if (fitting === null) return finding(`is ${kindOf(value)}, which it cannot be`, advice);
      return fitting.flatMap((inner) => fromIssue(schema, data, later, inner, path));
    }
    case 'too_small':
      return finding(Array.isArray(value) ? 'is empty' : `${quote(value)} is too small`, advice);
    case 'too_big':
      return finding(Array.isArray(value) ? 'has too many entries' : `${quote(value)} is too large`, advice);
    case 'invalid_key':
      return issue.issues.slice(0, 1).flatMap((inner) => {
        const [first] = fromIssue(schema, data, later, { ...inner, path: [] } as Issue, path);
        return first ? [{ ...first, path, at: 'key' as const }] : [];
      });
    case 'custom':
      return finding(issue.message, String(issue.params?.['advice'] ?? advice));
    default:
      return finding(issue.message.toLowerCase(), advice);
  }
}

/** Of a union's branches, the one that the value has the right kind for: its complaints are the useful ones. */
function fittingBranch(branches: readonly (readonly Issue[])[], value: unknown): readonly Issue[] | null {
  const fits = branches.filter(
    (issues) => !issues.some((issue) => issue.path.length === 0 && wrongKind(issue, value)),
  );
  return fits.length > 0 ? fits[0]! : null;
}

function wrongKind(issue: Issue, value: unknown): boolean {
  if (issue.code === 'invalid_type') return true;
  return issue.code === 'invalid_value' && typeof value !== typeof issue.values[0];
}

function adviseKey(schema: z.ZodType, path: KeyPath, data: unknown, key: string): string {
  const whole = schemaAt(schema, path, data);
  const holder = whole && branchFor(whole, valueAt(data, path));
  return adviseKnown(key, holder instanceof z.ZodObject ? Object.keys(holder.shape) : [], 'key');
}

/** What to write at a path: what its own key says, or the nearest key around it. */
function adviceFor(schema: z.ZodType, path: KeyPath, data: unknown): string {
  for (let length = path.length; length >= 0; length--) {
    const holder = schemaAt(schema, path.slice(0, length), data);
    const spec = holder && keySpecs.get(holder);
    if (spec) return spec.write;
  }
  return 'compare with the shipped file';
}

/** The schema that a path leads to, optional wrappers taken off; a union stays whole at the end of the path. */
function schemaAt(schema: z.ZodType, path: KeyPath, data: unknown): z.ZodType | null {
  let here: z.ZodType = schema;
  let value: unknown = data;
  for (const step of path) {
    const holder = branchFor(here, value);
    let next: z.ZodType | undefined;
    if (holder instanceof z.ZodObject) next = holder.shape[String(step)] as z.ZodType | undefined;
    else if (holder instanceof z.ZodRecord) next = holder.valueType as z.ZodType;
    else if (holder instanceof z.ZodArray) next = holder.element as z.ZodType;
    if (next === undefined) return null;
    here = next;
    value = valueAt(value, [step]);
  }
  return withoutOptional(here);
}

function withoutOptional(schema: z.ZodType): z.ZodType {
  let here = schema;
  while (here instanceof z.ZodOptional) here = here.unwrap() as z.ZodType;
  return here;
}

/** Of a union, the branch that can hold a value of this kind. */
function branchFor(schema: z.ZodType, value: unknown): z.ZodType {
  const here = withoutOptional(schema);
  if (!(here instanceof z.ZodUnion)) return here;
  const wanted = Array.isArray(value) ? z.ZodArray : isContainer(value) ? z.ZodObject : null;
  const options = here.options as readonly z.ZodType[];
  return (wanted && options.find((option) => option instanceof wanted)) ?? here;
}

const isContainer = (value: unknown): boolean => typeof value === 'object' && value !== null;

function valueAt(data: unknown, path: KeyPath): unknown {
  let here: unknown = data;
  for (const step of path) {
    if (typeof here !== 'object' || here === null || !Object.hasOwn(here, step)) return undefined;
    here = (here as Record<string | number, unknown>)[step];
  }
  return here;
}

/** `blocklists[].refresh`, `groups.*.safe_search`: a path without its own names. */
function generalPath(path: KeyPath): string {
  return path.reduce<string>((text, step, index) => {
    if (typeof step === 'number') return `${text}[]`;
    const word = path[0] === 'groups' && index === 1 ? '*' : step;
    return text === '' ? word : `${text}.${word}`;
  }, '');
}

function kindOf(value: unknown): string {
  if (value === null) return 'empty';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a set of keys';
  if (typeof value === 'string') return `the text ${quote(value)}`;
  return `${quote(value)}`;
}

function expectedKind(expected: string): string {
  const words: Record<string, string> = {
    array: 'a list',
    object: 'a set of keys',
    record: 'a set of keys',
    string: 'text',
    int: 'a whole number',
    number: 'a number',
    boolean: 'true or false',
  };
  return words[expected] ?? expected;
}
