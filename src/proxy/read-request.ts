// A request's head from bytes to something that can be decided, or the page that says why not. Pure.
// Every check that looks at the head alone is here; policy and addresses come later.

import type { Fault } from './asks.ts';
import { fieldValue, isProblem, parseRequestHead, requestFraming } from './head.ts';
import type { Field, Framing, RequestHead } from './head.ts';
import { parseAbsoluteTarget, parseConnectTarget } from './target.ts';
import type { Target, TargetProblem } from './target.ts';

export type ReadRequest = {
  readonly head: RequestHead;
  readonly framing: Framing;
  readonly target: Target;
};

/** `fields` are what could be read of the head, for the form of the reply. */
export type Unreadable = { readonly fault: Fault; readonly fields: readonly Field[] };

const TARGET_FAULTS: Readonly<Record<TargetProblem, Fault>> = {
  'not-proxy': { status: 400, kind: 'not-proxy' },
  scheme: malformed('only http:// addresses are forwarded; others need CONNECT host:port'),
  userinfo: malformed('the address holds a user name'),
  host: malformed('the host is neither a name nor an address'),
  port: malformed('the port is missing or not between 1 and 65535'),
  path: malformed('the address holds a fragment'),
};

/** @param text the head as Latin-1, without the empty line that ends it */
export function readRequest(text: string, toAscii: (name: string) => string): ReadRequest | Unreadable {
  const head = parseRequestHead(text);
  if (isProblem(head)) return { fault: malformed(head.problem, head.status), fields: [] };
  const unreadable = (fault: Fault): Unreadable => ({ fault, fields: head.fields });
  const framing = requestFraming(head);
  if (isProblem(framing)) return unreadable(malformed(framing.problem, framing.status));
  const isConnect = head.method === 'CONNECT';
  const hosts = head.fields.filter(({ key }) => key === 'host');
  // CONNECT names its target anyway, and old clients send it without Host
  if (hosts.length > 1 || (hosts.length === 0 && head.minor === 1 && !isConnect))
    return unreadable(malformed('there must be one Host field'));
  if (hosts.some(({ value }) => /[ \t/@?#,]/.test(value)))
    return unreadable(malformed('the Host field is not a host'));
  if (isConnect && (framing.kind === 'chunked' || (framing.kind === 'length' && framing.length > 0)))
    return unreadable(malformed('CONNECT has no body'));
  const expect = fieldValue(head.fields, 'expect');
  if (expect !== null && expect.toLowerCase() !== '100-continue')
    return unreadable({ status: 417, kind: 'unsupported', problem: 'only 100-continue can be expected' });
  // the Host field is not looked at: in an absolute-form request the target wins (RFC 9112 section 3.2.2)
  const target = (isConnect ? parseConnectTarget : parseAbsoluteTarget)(head.target, toAscii);
  return typeof target === 'string' ? unreadable(TARGET_FAULTS[target]) : { head, framing, target };
}

/** The page for a request that is not proper HTTP. */
export function malformed(problem: string, status = 400): Fault {
  return { status, kind: 'malformed', problem };
}
