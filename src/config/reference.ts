// The reference page and the JSON Schemas of the two files, made from the schemas that the loader uses.
// Committed copies are held equal by a test. It describes keys and adds nothing of its own.

import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { gatewaySchema } from './schema/gateway.ts';
import { keySpecs } from './schema/keys.ts';
import { policySchema } from './schema/policy.ts';

const SCHEMAS = { gateway: gatewaySchema, policy: policySchema } as const;

/** The JSON Schema of one file, as text; editors use it to complete and check keys. */
export function renderSchema(which: keyof typeof SCHEMAS): string {
  const schema = z.toJSONSchema(SCHEMAS[which], { io: 'input', target: 'draft-7' });
  return `${JSON.stringify({ title: `Schoolgate ${which}.yaml`, ...schema }, null, 2)}\n`;
}

/** docs/reference.md: each key of both files with what to write, its default and its meaning. */
export function renderReference(): string {
  return [
    '# Configuration reference',
    '',
    'Made from the schemas by `npm run docs`; do not edit it by hand. A key that is not here is refused.',
    '`[]` stands for each entry of a list, `*` for a name of your choice. Bold keys must be there when what they belong to is.',
    '',
    '## config/gateway.yaml',
    '',
    'The machine. Relative paths are relative to this file.',
    'Lengths of time are a number and `s`, `m`, `h` or `d`; sizes a number and `KB`, `MB`, `GB` or `TB` (1 GB is 1,000,000,000 bytes).',
    '',
    ...table(gatewaySchema),
    '',
    '## config/policy.yaml',
    '',
    'Who may see what. A host name covers itself and all names below it.',
    '',
    ...table(policySchema),
    '',
  ].join('\n');
}

/** Writes the reference page and both JSON Schemas below the project's root; answers their paths. */
export function writeReference(root: string = join(import.meta.dirname, '../..')): string[] {
  const files: Record<string, string> = {
    'docs/reference.md': renderReference(),
    'config/gateway.schema.json': renderSchema('gateway'),
    'config/policy.schema.json': renderSchema('policy'),
  };
  return Object.entries(files).map(([name, text]) => {
    const path = join(root, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
    return path;
  });
}

type Row = { key: string; must: boolean; says: string; write: string; fallback: unknown };

function table(schema: z.ZodType): string[] {
  return [
    '| Key | Default | Meaning | What to write |',
    '| --- | --- | --- | --- |',
    ...rowsOf(schema, '').map(({ key, must, says, write, fallback }) => {
      const name = must ? `**\`${key}\`**` : `\`${key}\``;
      const value = fallback === undefined ? '' : `\`${JSON.stringify(fallback)}\``;
      const cells = [name, value, says, write.replace(/^write /, '')];
      return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
    }),
  ];
}

/** A row for each key that has a description, parents before children. */
function rowsOf(schema: z.ZodType, prefix: string): Row[] {
  if (schema instanceof z.ZodOptional) return rowsOf(schema.unwrap() as z.ZodType, prefix);
  if (schema instanceof z.ZodArray) return rowsOf(schema.element as z.ZodType, `${prefix}[]`);
  if (schema instanceof z.ZodRecord) {
    const inner = schema.valueType as z.ZodType;
    return [...rowOf(inner, `${prefix}.*`, false), ...rowsOf(inner, `${prefix}.*`)];
  }
  if (schema instanceof z.ZodUnion) {
    return (schema.options as readonly z.ZodType[]).flatMap((option) => rowsOf(option, prefix));
  }
  if (!(schema instanceof z.ZodObject)) return [];
  return Object.entries(schema.shape as Record<string, z.ZodType>).flatMap(([name, inner]) => {
    const key = prefix === '' ? name : `${prefix}.${name}`;
    return [...rowOf(inner, key, !(inner instanceof z.ZodOptional)), ...rowsOf(inner, key)];
  });
}

function rowOf(schema: z.ZodType, key: string, must: boolean): Row[] {
  const bare = schema instanceof z.ZodOptional ? (schema.unwrap() as z.ZodType) : schema;
  const spec = keySpecs.get(bare);
  return spec ? [{ key, must, says: spec.says, write: spec.write, fallback: spec.fallback }] : [];
}
