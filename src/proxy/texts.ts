// Every word that the proxy's pages show, one table per language. Pure. A new language is a new table.

export type PageKind =
  | 'blocked'
  | 'not-ready'
  | 'inside'
  | 'port'
  | 'not-found'
  | 'unreachable'
  | 'timeout'
  | 'bad-answer'
  | 'malformed'
  | 'not-proxy'
  | 'too-large'
  | 'unsupported';

export type Texts = {
  readonly lang: string;
  /** page title and what happened, in few words */
  readonly title: Readonly<Record<PageKind, string>>;
  readonly body: Readonly<Record<PageKind, string>>;
  readonly tellGrownUp: string;
  readonly tellStaff: string;
  readonly monitored: string;
  readonly ask: string;
  readonly labels: {
    readonly site: string;
    readonly group: string;
    readonly category: string;
    readonly list: string;
    readonly rule: string;
    readonly reason: string;
    readonly reference: string;
    readonly time: string;
  };
};

const en: Texts = {
  lang: 'en-GB',
  title: {
    blocked: 'This site is not open here',
    'not-ready': 'The internet filter is not ready',
    inside: 'This address cannot be opened from here',
    port: 'This kind of connection is not open here',
    'not-found': 'There is no site with this name',
    unreachable: 'The site cannot be reached',
    timeout: 'The site took too long to answer',
    'bad-answer': 'The site sent a broken answer',
    malformed: 'The request could not be understood',
    'not-proxy': 'This is a web proxy, not a website',
    'too-large': 'The request is too large',
    unsupported: 'The proxy cannot do this',
  },
  body: {
    blocked: 'The school’s internet filter has stopped this page.',
    'not-ready':
      'The school’s internet filter cannot check sites at the moment, so it has stopped this page. Try again in a few minutes.',
    inside:
      'The address belongs to the school’s own network or to the filter itself. The proxy does not lead there.',
    port: 'The school’s internet filter lets only the usual ports through.',
    'not-found': 'Check the spelling of the address and try again.',
    unreachable: 'The site is not answering at the moment. Try again in a few minutes.',
    timeout: 'Try again in a few minutes.',
    'bad-answer': 'The site’s answer was not proper HTTP, so it was not passed on.',
    malformed: 'What was sent is not a proper request for a web proxy.',
    'not-proxy':
      'Enter this address as the HTTP proxy in the device’s network settings. It shows no pages of its own.',
    'too-large': 'The head of the request is larger than the proxy takes.',
    unsupported: 'The request asks for something that the proxy does not offer.',
  },
  tellGrownUp: 'Tell a grown-up or your teacher if you need it, or if something worries you.',
  tellStaff: 'If this site is needed for school work, ask for it to be opened and quote the reference.',
  monitored: 'Internet use at this school is filtered and monitored.',
  ask: 'Why did this happen, and how do I ask for this site?',
  labels: {
    site: 'Site',
    group: 'Group',
    category: 'Category',
    list: 'List',
    rule: 'Rule',
    reason: 'Reason',
    reference: 'Reference',
    time: 'Time',
  },
};

const tables: Readonly<Record<string, Texts>> = { en };

/** The words for a language tag (`en`, `en-GB`); English when there is no table for it. */
export function textsFor(language: string): Texts {
  const base = language.toLowerCase().split('-')[0]!;
  return Object.hasOwn(tables, base) ? tables[base]! : en;
}
