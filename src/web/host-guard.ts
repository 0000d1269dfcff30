// Whose name a request asks for. The API answers under the gateway's own names only, which ends DNS rebinding; a browser
// sent here for a blocked name (`block: page`) gets a plain page that says so.

import { isIP } from 'node:net';
import { createHash } from 'node:crypto';

/**
 * Whether a Host header names this gateway: one of `ownHosts`, `localhost`, or an address (which no DNS answer can
 * point elsewhere). `null` when the header is missing or malformed.
 */
export const isOwnHost = (header: string | undefined, ownHosts: readonly string[]): boolean | null => {
  const host = hostOf(header);
  if (host === null) return null;
  return host === 'localhost' || isIP(host) !== 0 || ownHosts.includes(host);
};

/** The host of a Host header in lower case, without port, brackets or final dot; null when malformed. */
export const hostOf = (header: string | undefined): string | null => {
  if (header === undefined || header.length > 300) return null;
  const bracketed = /^\[([0-9a-fA-F:.]+)\](?::\d{1,5})?$/.exec(header);
  if (bracketed) return isIP(bracketed[1] ?? '') === 6 ? (bracketed[1] ?? '').toLowerCase() : null;
  const plain = /^([A-Za-z0-9._-]+)(?::\d{1,5})?$/.exec(header);
  return plain ? (plain[1] ?? '').toLowerCase().replace(/\.$/, '') || null : null;
};

/** Text that is safe between tags and in double-quoted attributes. */
export const escapeHtml = (text: string): string =>
  text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);

/** The one style of our plain pages; the policy for content allows it by its hash and nothing else. */
const STYLE =
  'body{font:1.1rem/1.5 system-ui,sans-serif;max-width:36rem;margin:3rem auto;padding:0 1rem;color:#1a1a1a;background:#fff}' +
  'h1{font-size:1.6rem}label{display:block;margin:1rem 0 .2rem;font-weight:600}' +
  'input{font:inherit;width:100%;padding:.4rem;box-sizing:border-box;border:1px solid #555}' +
  'button{font:inherit;margin-top:1.5rem;padding:.5rem 1.5rem}.problem{border-left:.4rem solid #a00;padding:.2rem .8rem}';

export const STYLE_HASH = `'sha256-${createHash('sha256').update(STYLE).digest('base64')}'`;

/** A whole page of ours; `body` is HTML, `title` and `language` are text. */
export const plainPage = (language: string, title: string, body: string): string =>
  `<!doctype html><html lang="${escapeHtml(language)}"><head><meta charset="utf-8">` +
  '<meta name="viewport" content="width=device-width,initial-scale=1">' +
  `<title>${escapeHtml(title)}</title><style>${STYLE}</style></head><body><main><h1>${escapeHtml(title)}</h1>${body}</main></body></html>\n`;

/** The page for a browser that was sent here because `host` is blocked. */
export const blockedHostPage = (language: string, school: string, host: string): string =>
  plainPage(
    language,
    'This site is blocked',
    `<p>${escapeHtml(school)} does not let you open <strong>${escapeHtml(host)}</strong> here.</p>` +
      '<p>If you need it for a lesson, ask a teacher. If something on the internet has upset you, tell a grown-up you trust.</p>',
  );
