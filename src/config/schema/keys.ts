// How a key is declared: its schema, its description, its default and what to write when it is wrong.
// Shared by the two schemas; the descriptions also make the reference page and the JSON Schema.

import { z } from 'zod';
import type { Parsed } from '../values.ts';

export type KeySpec = {
  /** one or two plain sentences for the reference page */
  readonly says: string;
  /** what to write instead, as in "write one of: full, normal" */
  readonly write: string;
  /** the value in force when the key is left out */
  readonly fallback?: unknown;
};

/** What is known of each key beyond its schema. */
export const keySpecs = z.registry<KeySpec>();

/** A key that must be there. */
export function required<T extends z.ZodType>(schema: T, spec: KeySpec): T {
  const described = schema.meta({
    description: spec.says,
    ...(spec.fallback === undefined ? {} : { default: spec.fallback }),
  });
  keySpecs.add(described, spec);
  return described;
}

/** A key that may be left out. */
export function optional<T extends z.ZodType>(schema: T, spec: KeySpec): z.ZodOptional<T> {
  return required(schema, spec).optional();
}

/** Text that one of the parsers of values.ts takes. */
export function textOf(parse: (text: string) => Parsed<unknown>): z.ZodString {
  return z.string().superRefine((text, ctx) => {
    const parsed = parse(text);
    if (!parsed.ok)
      ctx.addIssue({ code: 'custom', message: parsed.problem, params: { advice: parsed.advice } });
  });
}
