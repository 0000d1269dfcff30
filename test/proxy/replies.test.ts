import { describe, expect, it } from 'vitest';
import { referenceOf, renderReply, wantsJson } from '../../src/proxy/replies.ts';
import type { Page } from '../../src/proxy/replies.ts';
import { textsFor } from '../../src/proxy/texts.ts';
import { blocked, verdict } from './fixture.ts';

const frame = { school: 'St Änne’s & <Sons>', language: 'en', publicUrl: 'http://gateway.example:8080/' };
const page: Page = {
  status: 403,
  kind: 'blocked',
  host: 'bets.example',
  at: 1_763_805_600_000,
  verdict: blocked,
  groupLabel: 'Key Stage 2',
  detail: 'simple',
};
const html = (over: Partial<Page> = {}) => {
  const reply = renderReply({ ...page, ...over }, frame, { json: false, keep: true, headOnly: false });
  const [head, ...body] = reply.split('\r\n\r\n');
  return {
    head: head!,
    body: Buffer.from(body.join('\r\n\r\n'), 'latin1').toString('utf8'),
    bytes: body.join('').length,
  };
};

describe('the block page', () => {
  it('is a 403 that nothing keeps, sniffs or runs', () => {
    const { head, bytes } = html();
    expect(head).toMatch(/^HTTP\/1\.1 403 Forbidden\r\n/);
    expect(head).toContain('Cache-Control: no-store');
    expect(head).toContain("Content-Security-Policy: default-src 'none'");
    expect(head).toContain('X-Content-Type-Options: nosniff');
    expect(head).toContain(`Content-Length: ${bytes}`);
  });
  it('C02: tells a pupil what happened and whom to tell, and no category', () => {
    const { body } = html();
    expect(body).toContain('<html lang="en-GB">');
    expect(body.match(/<h1>/g)).toHaveLength(1);
    expect(body).toContain('Tell a grown-up or your teacher');
    expect(body).not.toMatch(/gambling|<script|src=|url\(/i);
  });
  it('M02: says that use is monitored, to everyone', () => {
    expect(html().body).toContain('monitored');
    expect(html({ detail: 'full' }).body).toContain('monitored');
  });
  it('F16: tells staff category, list, rule and a reference', () => {
    const { body } = html({ detail: 'full' });
    for (const part of [
      'gambling',
      'starter-gambling',
      'gambling is unacceptable (ks2)',
      'Key Stage 2',
      referenceOf(page.at),
    ])
      expect(body).toContain(part);
    expect(body).not.toContain('grown-up');
  });
  it('escapes everything that it did not write itself', () => {
    const evil = `<script>alert("1")</script>'`;
    const { body } = html({
      detail: 'full',
      host: evil,
      groupLabel: evil,
      problem: evil,
      verdict: verdict({ ...blocked, rule: evil, list: evil, category: evil }),
    });
    expect(body).not.toContain('<script');
    expect(body).toContain('&#60;script&#62;');
    expect(body).toContain('St &#196;nne&#8217;s &#38; &#60;Sons&#62;');
  });
  it('links to the gateway only when it has a public address', () => {
    expect(html().body).toContain('href="http://gateway.example:8080/why"');
    const none = renderReply(
      page,
      { ...frame, publicUrl: null },
      { json: false, keep: true, headOnly: false },
    );
    expect(none).not.toContain('href');
    const odd = renderReply(
      page,
      { ...frame, publicUrl: 'javascript:1' },
      { json: false, keep: true, headOnly: false },
    );
    expect(odd).not.toContain('href');
  });
  it('has no body for HEAD but its length', () => {
    const reply = renderReply(page, frame, { json: false, keep: false, headOnly: true });
    expect(reply).toMatch(/Content-Length: [1-9]/);
    expect(reply.endsWith('\r\n\r\n')).toBe(true);
    expect(reply).toContain('Connection: close');
  });
  it('survives broken characters', () => {
    const { body, bytes } = html({ host: '\ud800é😀' });
    expect(body).toContain('&#233;&#128512;');
    expect(bytes).toBe(body.length);
  });
});

describe('JSON', () => {
  const json = (over: Partial<Page>) =>
    JSON.parse(
      renderReply({ ...page, ...over }, frame, { json: true, keep: true, headOnly: false }).split(
        '\r\n\r\n',
      )[1]!,
    ) as {
      error: { code: string; message: string; details: Record<string, unknown> };
    };
  it('has code, message and details', () => {
    const { error } = json({ detail: 'full' });
    expect(error.code).toBe('blocked');
    expect(error.details).toMatchObject({
      host: 'bets.example',
      category: 'gambling',
      list: 'starter-gambling',
      reason: 'unacceptable',
    });
  });
  it('tells a pupil no category either', () => {
    expect(JSON.stringify(json({}))).not.toContain('gambling');
  });
  it.each([
    ['application/json', true],
    ['application/json; q=1, application/problem+json', true],
    ['application/json, */*', false],
    ['text/html, application/json', false],
    ['*/*', false],
    ['', false],
    [null, false],
  ])('Accept %j: %s', (accept, expected) => {
    expect(wantsJson(accept)).toBe(expected);
  });
});

it('C03: words come from a table per language, English when there is none', () => {
  expect(textsFor('en-GB')).toBe(textsFor('xx'));
  expect(textsFor('constructor')).toBe(textsFor('en'));
});
