// Every error the API can give: one table of codes, and how anything thrown becomes `{ error: { code, message, details } }`.
// Messages say what to do. What an unexpected error says goes to the log, never to the client.

import { AccountError } from '../people/accounts.ts';
import { PasswordsBusy } from '../people/passwords.ts';
import { OverrideError } from '../change/grant-check.ts';
import { RecordError } from '../change/records.ts';
import { isDiskFull } from '../state/disk-full.ts';

/** code -> status and the message when nothing more exact is said. */
export const ERRORS = {
  invalid: [400, 'The request is not right.'],
  'not-json': [400, 'The body is not JSON. Send JSON with content-type application/json.'],
  'bad-host': [400, 'The Host header is missing or malformed.'],
  aborted: [400, 'The connection closed before the whole request had arrived.'],
  'bad-cursor': [400, 'This cursor is not one this list gave. Start again without it.'],
  'not-signed-in': [401, 'Sign in first.'],
  'wrong-password': [401, 'The username or the password is wrong.'],
  forbidden: [403, 'Your role may not do this.'],
  csrf: [403, 'Send the csrfToken of GET /api/v1/me in the x-csrf-token header.'],
  'must-change-password': [403, 'Change your temporary password first: POST /api/v1/me/password.'],
  'tls-required': [403, 'Signing in from another machine needs an encrypted connection (https).'],
  'foreign-host': [403, 'This name is not one of the gateway.'],
  'setup-closed': [403, 'The setup link is wrong, used or too old. Restart the gateway for a new one.'],
  'not-found': [404, 'There is nothing here.'],
  'method-not-allowed': [405, 'This address does not take this method.'],
  timeout: [408, 'The request took too long to arrive.'],
  taken: [409, 'There is one of this name already.'],
  'last-administrator': [409, 'This is the last technician.'],
  'in-use': [409, 'Something else needs this.'],
  'too-many': [409, 'There are too many already.'],
  sealed: [409, 'A list of illegal content holds this. Nobody can unblock it.'],
  'too-large': [413, 'The request is too large: at most 64 KB.'],
  'uri-too-long': [414, 'The address is too long.'],
  'unsupported-type': [415, 'Send JSON with content-type application/json.'],
  locked: [423, 'This account is locked after too many wrong passwords.'],
  'rate-limited': [429, 'Too many attempts. Wait a moment.'],
  'headers-too-large': [431, 'The headers are too large.'],
  internal: [500, 'Something went wrong in the gateway. The log has the details.'],
  busy: [503, 'The gateway is busy. Try again in a few seconds.'],
  'disk-full': [
    503,
    "The gateway's disk is full, so nothing can be saved. Filtering goes on. Free some space on it and try again.",
  ],
} as const satisfies Record<string, readonly [status: number, message: string]>;

export type ErrorCode = keyof typeof ERRORS;

/** One wrong field of a request. */
export type FieldProblem = { readonly field: string; readonly message: string };

/** An error with its code; thrown by routes, answered by the error handler. `retryAfter` is in seconds. */
export class ApiError extends Error {
  readonly code: ErrorCode;
  readonly details: readonly FieldProblem[] | undefined;
  readonly retryAfter: number | undefined;
  constructor(
    code: ErrorCode,
    options: { message?: string; details?: readonly FieldProblem[]; retryAfter?: number } = {},
  ) {
    super(options.message ?? ERRORS[code][1]);
    this.name = 'ApiError';
    this.code = code;
    this.details = options.details;
    this.retryAfter = options.retryAfter;
  }
}

/** A request with one wrong field. */
export const wrongField = (field: string, message: string, code: ErrorCode = 'invalid'): ApiError =>
  new ApiError(code, { message: `${field}: ${message}`, details: [{ field, message }] });

export type ErrorBody = {
  error: { code: ErrorCode; message: string; details?: readonly FieldProblem[] };
};

export const errorBody = (error: ApiError): ErrorBody => ({
  error: {
    code: error.code,
    message: error.message,
    ...(error.details !== undefined && { details: error.details }),
  },
});

/** What a validator says of one value; TypeBox and Ajv have this shape in common. */
type ValidationProblem = {
  readonly keyword: string;
  readonly instancePath: string;
  readonly params: Record<string, unknown>;
};

/** The API's error for anything thrown, or null when it is nobody's fault but ours. */
export const toApiError = (error: unknown): ApiError | null => {
  if (error instanceof ApiError) return error;
  if (error instanceof PasswordsBusy) return new ApiError('busy', { retryAfter: 5 });
  if (error instanceof AccountError) {
    return wrongField(error.field, error.message, error.code === 'unknown' ? 'not-found' : error.code);
  }
  if (error instanceof OverrideError || error instanceof RecordError) {
    return wrongField(error.field, error.message, error.code === 'unknown' ? 'not-found' : error.code);
  }
  if (isDiskFull(error)) return new ApiError('disk-full');
  if (typeof error !== 'object' || error === null) return null;
  if ('validation' in error && Array.isArray(error.validation)) {
    return fromValidation(error.validation as ValidationProblem[]);
  }
  const code = 'code' in error ? FRAMEWORK_CODES[String(error.code)] : undefined;
  return code === undefined ? null : new ApiError(code);
};

const FRAMEWORK_CODES: Readonly<Record<string, ErrorCode>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'too-large',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'unsupported-type',
  FST_ERR_CTP_INVALID_JSON_BODY: 'not-json',
  FST_ERR_CTP_EMPTY_JSON_BODY: 'not-json',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'invalid',
  FST_ERR_BAD_URL: 'not-found',
  FST_ERR_HANDLER_TIMEOUT: 'busy',
  // What reading a body says when the client went away in the middle of it; nobody is there to read the answer.
  ECONNRESET: 'aborted',
  ERR_STREAM_PREMATURE_CLOSE: 'aborted',
  // What the event reader says of a cursor it did not make, and of a search that ran out of time.
  'bad-cursor': 'bad-cursor',
  'search-timeout': 'busy',
};

const MAX_DETAILS = 20;

const fromValidation = (problems: readonly ValidationProblem[]): ApiError => {
  const details: FieldProblem[] = [];
  for (const problem of problems.slice(0, MAX_DETAILS)) {
    const at = fieldName(problem.instancePath);
    const join = (name: string): string => (at === '' ? name : `${at}.${name}`);
    const named = NAMED_BY[problem.keyword];
    if (named === undefined) details.push({ field: at === '' ? 'body' : at, message: adviceFor(problem) });
    else {
      const names = problem.params[named.param];
      for (const name of Array.isArray(names) ? names.slice(0, MAX_DETAILS) : []) {
        details.push({ field: join(String(name).slice(0, 64)), message: named.message });
      }
    }
  }
  const message = details.map((detail) => `${detail.field}: ${detail.message}`).join(' ');
  return new ApiError('invalid', { message: message || ERRORS.invalid[1], details });
};

/** Problems that name the fields in their parameters. */
const NAMED_BY: Readonly<Record<string, { param: string; message: string }>> = {
  required: { param: 'requiredProperties', message: 'This is missing.' },
  additionalProperties: { param: 'additionalProperties', message: 'This is not known here. Leave it out.' },
};

const TYPE_WORDS: Readonly<Record<string, string>> = {
  string: 'a text',
  array: 'a list',
  object: 'an object',
  boolean: 'true or false',
  integer: 'a whole number',
  number: 'a number',
};

const adviceFor = (problem: ValidationProblem): string => {
  const { limit, allowedValues, type } = problem.params;
  switch (problem.keyword) {
    case 'type':
      return `Write ${TYPE_WORDS[String(type)] ?? String(type)}.`;
    case 'enum':
      return `Write one of ${Array.isArray(allowedValues) ? allowedValues.join(', ') : 'the known values'}.`;
    case 'minLength':
      return `Write at least ${String(limit)} characters.`;
    case 'maxLength':
      return `Write at most ${String(limit)} characters.`;
    case 'minItems':
      return `Give at least ${String(limit)}.`;
    case 'maxItems':
      return `Give at most ${String(limit)}.`;
    case 'minimum':
      return `Give ${String(limit)} or more.`;
    case 'maximum':
      return `Give ${String(limit)} or less.`;
    default:
      return 'This is not in the form that is expected.';
  }
};

/** `/scope/groups/2` -> `scope.groups[2]` */
const fieldName = (path: string): string =>
  path
    .split('/')
    .slice(1, 9)
    .map((part) => part.slice(0, 64))
    .reduce(
      (name, part) => (/^\d+$/.test(part) ? `${name}[${part}]` : name === '' ? part : `${name}.${part}`),
      '',
    );
