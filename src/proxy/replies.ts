// The answers that the proxy gives by itself, as bytes on the wire: block page, error pages, the same as JSON. Pure.
// Pages stand alone: no script, no outside asset, every foreign word escaped.

import type { Verdict } from '../policy/types.ts';
import { textsFor } from './texts.ts';
import type { PageKind, Texts } from './texts.ts';

export type Page = {
  readonly status: number;
  readonly kind: PageKind;
  /** host asked for; '' when it is not known */
  readonly host: string;
  /** UTC ms */
  readonly at: number;
  readonly verdict: Verdict | null;
  /** the group as people call it */
  readonly groupLabel: string;
  readonly detail: 'simple' | 'full';
  /** one plain English sentence on a technical fault, for `full` pages and for JSON */
  readonly problem?: string;
};

export type PageFrame = {
  readonly school: string;
  readonly language: string;
  readonly publicUrl: string | null;
};

const STATUS_TEXT: Readonly<Record<number, string>> = {
  200: 'OK',
  400: 'Bad Request',
  403: 'Forbidden',
  408: 'Request Timeout',
  417: 'Expectation Failed',
  431: 'Request Header Fields Too Large',
  501: 'Not Implemented',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
  505: 'HTTP Version Not Supported',
};

const STYLE =
  'body{margin:0;background:#f4f6fb;color:#14213d;font:1.25rem/1.6 system-ui,sans-serif}' +
  'main{max-width:40rem;margin:8vh auto;padding:2rem;background:#fff;border-radius:1rem}' +
  'h1{margin:0 0 1rem;font-size:2.25rem;line-height:1.2}.tell{font-size:1.5rem;font-weight:700}' +
  'dl{display:grid;grid-template-columns:auto 1fr;gap:.25rem 1rem;font-size:1rem}dt{font-weight:700}' +
  'dd{margin:0;overflow-wrap:anywhere}a{color:#0b3d91}footer{margin-top:2rem;font-size:1rem;color:#3d4a66}';

/** Name under which a page's moment is found again in the log: its time in base 36. */
export function referenceOf(at: number): string {
  return Math.max(0, Math.floor(at)).toString(36).toUpperCase();
}

/** True when the Accept field takes JSON and nothing a page could be sent as. */
export function wantsJson(accept: string | null): boolean {
  if (accept === null) return false;
  const types = accept
    .toLowerCase()
    .split(',')
    .map((part) => part.split(';')[0]!.trim());
  return types.every((type) => /^application\/([a-z0-9.+-]+\+)?json$/.test(type));
}

/** The whole reply, head and body. `keep` says whether the connection lives on; `head` leaves the body out. */
export function renderReply(
  page: Page,
  frame: PageFrame,
  options: { json: boolean; keep: boolean; headOnly: boolean },
): string {
  const body = options.json ? renderJson(page, frame) : renderHtml(page, frame);
  const lines = [
    `HTTP/1.1 ${page.status} ${STATUS_TEXT[page.status] ?? 'Error'}`,
    `Content-Type: ${options.json ? 'application/json' : 'text/html; charset=utf-8'}`,
    `Content-Length: ${body.length}`,
    'Cache-Control: no-store',
    "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    'X-Content-Type-Options: nosniff',
    'Referrer-Policy: no-referrer',
    `Connection: ${options.keep ? 'keep-alive' : 'close'}`,
  ];
  return `${lines.join('\r\n')}\r\n\r\n${options.headOnly ? '' : body}`;
}

function renderJson(page: Page, frame: PageFrame): string {
  const { verdict } = page;
  const full = page.detail === 'full' && verdict !== null;
  const json = JSON.stringify({
    error: {
      code: verdict === null || verdict.action === 'error' ? page.kind : 'blocked',
      message: messageOf(page, textsFor(frame.language)),
      details: {
        host: page.host,
        reference: referenceOf(page.at),
        ...(page.problem === undefined ? {} : { problem: page.problem }),
        ...(full
          ? { reason: verdict.reason, category: verdict.category, list: verdict.list, rule: verdict.rule }
          : {}),
      },
    },
  });
  return escapeJson(json);
}

function messageOf(page: Page, words: Texts): string {
  return `${words.title[page.kind]}. ${words.body[page.kind]}`;
}

function renderHtml(page: Page, frame: PageFrame): string {
  const words = textsFor(frame.language);
  const title = escapeHtml(words.title[page.kind]);
  const refused = page.verdict !== null && page.verdict.action !== 'error';
  const parts = [
    `<!doctype html><html lang="${words.lang}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">`,
    `<meta name="robots" content="noindex"><title>${title}</title><style>${STYLE}</style></head><body><main><h1>${title}</h1>`,
    `<p>${escapeHtml(words.body[page.kind])}</p>`,
  ];
  if (refused)
    parts.push(
      `<p class="tell">${escapeHtml(page.detail === 'full' ? words.tellStaff : words.tellGrownUp)}</p>`,
    );
  const facts = factsOf(page, words).filter(([, value]) => value !== '');
  if (facts.length > 0)
    parts.push(
      `<dl>${facts.map(([name, value]) => `<dt>${escapeHtml(name)}</dt><dd>${escapeHtml(value)}</dd>`).join('')}</dl>`,
    );
  if (refused && frame.publicUrl !== null && /^https?:\/\//.test(frame.publicUrl))
    parts.push(
      `<p><a href="${escapeHtml(frame.publicUrl.replace(/\/$/, ''))}/why">${escapeHtml(words.ask)}</a></p>`,
    );
  parts.push(
    `<footer>${escapeHtml(frame.school)}. ${escapeHtml(words.monitored)}</footer></main></body></html>`,
  );
  return parts.join('');
}

/** Pupils see the site and a reference; those who may know more see what decided. */
function factsOf(page: Page, words: Texts): [string, string][] {
  const { labels } = words;
  const facts: [string, string][] = [
    [labels.site, page.host],
    [labels.reference, referenceOf(page.at)],
  ];
  // who sends a broken request is a program, and whoever looks after it needs to know
  if (page.problem !== undefined && (page.kind === 'malformed' || page.detail === 'full'))
    facts.push([labels.reason, page.problem]);
  if (page.detail !== 'full') return facts;
  const { verdict } = page;
  if (verdict !== null)
    facts.push(
      [labels.group, page.groupLabel],
      [labels.category, verdict.category ?? ''],
      [labels.list, verdict.list ?? ''],
      [labels.rule, verdict.rule],
      [labels.time, new Date(page.at).toISOString()],
    );
  return facts;
}

/** Pages are plain ASCII, so that their length in characters is their length in bytes. */
function escapeHtml(text: string): string {
  return text.replace(/[^\x20-\x7e]|[&<>"'`]/gu, (char) => `&#${char.codePointAt(0)!};`);
}

function escapeJson(json: string): string {
  return json.replace(/[^\x20-\x7e]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
