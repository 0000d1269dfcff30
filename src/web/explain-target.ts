// What someone means by a URL, a host or `host:port` when they ask what the filter would do with it. Pure.

import { isIP } from 'node:net';
import { domainToASCII } from 'node:url';
import { canonicalName } from '../blocklist/names.ts';
import type { Channel } from '../policy/types.ts';

/** `host` is a canonical name or an IP literal without brackets; `path` only when a URL was given. */
export type ExplainTarget = {
  readonly host: string;
  readonly path: string | null;
  readonly channel: Channel;
};

/** The target of a URL (http or https), a host, or `host:port`; null when it is none of them. */
export const readTarget = (text: string): ExplainTarget | null => {
  const trimmed = text.trim();
  if (trimmed === '' || trimmed.length > 2048) return null;
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(trimmed)?.[1]?.toLowerCase();
  if (scheme !== undefined && scheme !== 'http' && scheme !== 'https') return null;
  if (isIP(trimmed) !== 0) return { host: plainAddress(trimmed), path: null, channel: 'http' };
  let url: URL;
  try {
    url = new URL(scheme === undefined ? `http://${trimmed}` : trimmed);
  } catch {
    return null;
  }
  const bare = url.hostname.replace(/^\[|\]$/g, '');
  const address = isIP(bare) !== 0;
  const host = address ? bare : canonicalName(bare, domainToASCII);
  if (host === null || host === '') return null;
  if (scheme === undefined) {
    const channel = address ? 'http' : url.port === '443' ? 'connect' : 'dns';
    return { host, path: null, channel };
  }
  return { host, path: url.pathname, channel: scheme === 'https' ? 'connect' : 'http' };
};

/** The one way of writing an address that the rest of the gateway uses. */
const plainAddress = (text: string): string =>
  isIP(text) === 6 ? new URL(`http://[${text.replace(/%.*$/, '')}]`).hostname.slice(1, -1) : text;
