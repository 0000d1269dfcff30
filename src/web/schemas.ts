// The shapes that more than one route shares, as schemas: they check what comes in, filter what goes out, and make the
// OpenAPI description. Unknown fields are refused, so that a misspelt one never passes in silence.

import { Type } from 'typebox';
import type { TProperties } from 'typebox';
import { wrongField } from './errors.ts';
import { parseTime } from './times.ts';

/** An object that takes these fields and no others. */
export const Strict = <Properties extends TProperties>(properties: Properties) =>
  Type.Object(properties, { additionalProperties: false });

const ErrorSchema = Type.Object({
  error: Type.Object({
    code: Type.String(),
    message: Type.String(),
    details: Type.Optional(Type.Array(Type.Object({ field: Type.String(), message: Type.String() }))),
  }),
});

/** The error answers of every route, for the description. */
export const errors = { '4xx': ErrorSchema, '5xx': ErrorSchema };

/** RFC 3339; checked by `readTime`, which can say more than a pattern. */
export const TimeText = Type.String({ maxLength: 40, description: 'RFC 3339, such as 2026-09-07T09:00:00Z' });

export const Username = Type.String({ minLength: 1, maxLength: 64 });

export const ReasonText = Type.String({ maxLength: 2000, description: 'why, 3 to 500 characters' });

export const paged = {
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 500, description: '100 when left out' })),
  cursor: Type.Optional(
    Type.String({ minLength: 1, maxLength: 300, description: '`next` of the page before' }),
  ),
};

export const DEFAULT_LIMIT = 100;

/** UTC ms of a time field. Throws ApiError that names the field. */
export const readTime = (field: string, text: string): number => {
  const at = parseTime(text);
  if (at === null) {
    throw wrongField(field, 'Write a time with its offset (RFC 3339), such as 2026-09-07T09:00:00Z.');
  }
  return at;
};

/** As `readTime`, for a field that may be left out. */
export const readMaybe = (field: string, text: string | undefined): number | undefined =>
  text === undefined ? undefined : readTime(field, text);
