// Search engines and video sites as facts: which names have a form that is safe, where that is, and which have none. Data
// only; what a group gets of it is decided in safe-search.ts.

export type SearchEngine = {
  /** as people call it */
  readonly title: string;
  readonly kind: 'search' | 'video';
  /** names that are rewritten, these and no others: what is below them signs people in and shows their files */
  readonly names: readonly string[];
  /** canonical name whose addresses are given instead; null when there is no safe form that can be relied on */
  readonly strict: string | null;
  readonly moderate: string | null;
  /** where the fact is from, and when somebody last held it to the source */
  readonly known: string;
  readonly verified: string;
};

/** `www.google.` and each of these; what Google lists as its search domains. */
const GOOGLE_COUNTRIES =
  'com ' +
  'ad ae al am as at az ba be bf bg bi bj bs bt by ca cat cd cf cg ch ci cl cm cn co co.ao co.bw co.ck co.cr ' +
  'co.id co.il co.in co.jp co.ke co.kr co.ls co.ma co.mz co.nz co.th co.tz co.ug co.uk co.uz co.ve co.vi co.za ' +
  'co.zm co.zw com.af com.ag com.ai com.ar com.au com.bd com.bh com.bn com.bo com.br com.bz com.co com.cu com.cy ' +
  'com.do com.ec com.eg com.et com.fj com.gh com.gi com.gt com.hk com.jm com.kh com.kw com.lb com.ly com.mm ' +
  'com.mt com.mx com.my com.na com.nf com.ng com.ni com.np com.om com.pa com.pe com.pg com.ph com.pk com.pr ' +
  'com.py com.qa com.sa com.sb com.sg com.sl com.sv com.tj com.tr com.tw com.ua com.uy com.vc com.vn cv cz de dj ' +
  'dk dm dz ee es fi fm fr ga ge gg gl gm gp gr gy hn hr ht hu ie im iq is it je jo kg ki kz la li lk lt lu lv md ' +
  'me mg mk ml mn ms mu mv mw ne nl no nr nu pl pn ps pt ro rs ru rw sc se sh si sk sm sn so sr st td tg tk tl tm ' +
  'tn to tt vg vu ws';

const YANDEX = 'com com.tr com.ge co.il ru by kz uz az ee lt lv md tj tm fr eu';

/** Engines with a safe form, which their names are answered with. */
const SAFE: readonly SearchEngine[] = [
  {
    title: 'Google',
    kind: 'search',
    names: ['google.com', ...GOOGLE_COUNTRIES.split(' ').map((country) => `www.google.${country}`)],
    strict: 'forcesafesearch.google.com',
    moderate: 'forcesafesearch.google.com',
    known: 'Google’s own instructions for networks; the apex as other filters have it',
    verified: '2026-08-22',
  },
  {
    title: 'YouTube',
    kind: 'video',
    names: [
      'www.youtube.com',
      'm.youtube.com',
      'youtubei.googleapis.com',
      'youtube.googleapis.com',
      'www.youtube-nocookie.com',
    ],
    strict: 'restrict.youtube.com',
    moderate: 'restrictmoderate.youtube.com',
    known: 'Google’s own instructions for networks',
    verified: '2026-08-22',
  },
  {
    title: 'Bing',
    kind: 'search',
    names: ['www.bing.com', 'bing.com', 'edgeservices.bing.com'],
    strict: 'strict.bing.com',
    moderate: 'strict.bing.com',
    known: 'Microsoft’s own instructions; the sidebar’s name as other filters have it',
    verified: '2026-08-22',
  },
  {
    title: 'DuckDuckGo',
    kind: 'search',
    names: ['duckduckgo.com', 'www.duckduckgo.com', 'start.duckduckgo.com', 'duck.com', 'www.duck.com'],
    strict: 'safe.duckduckgo.com',
    moderate: 'safe.duckduckgo.com',
    known: 'DuckDuckGo’s own instructions',
    verified: '2026-08-22',
  },
  {
    title: 'Pixabay',
    kind: 'search',
    names: ['pixabay.com', 'www.pixabay.com'],
    strict: 'safesearch.pixabay.com',
    moderate: 'safesearch.pixabay.com',
    known: 'Pixabay’s own instructions; www by inference',
    verified: '2026-08-22',
  },
  {
    title: 'Ecosia',
    kind: 'search',
    names: ['www.ecosia.org'],
    strict: 'strict-safe-search.ecosia.org',
    moderate: 'strict-safe-search.ecosia.org',
    known: 'Ecosia’s own instructions',
    verified: '2026-08-22',
  },
  {
    title: 'Qwant',
    kind: 'search',
    names: ['api.qwant.com'],
    strict: 'safeapi.qwant.com',
    moderate: 'safeapi.qwant.com',
    known: 'as other filters have it',
    verified: '2026-08-22',
  },
];

/** Engines without a safe form, or with one that sources disagree on. Here a name stands for all below it, too. */
const UNSAFE: readonly SearchEngine[] = [
  unsafe('Google without its usual name', ['ipv4.google.com', 'ipv6.google.com', 'encrypted.google.com']),
  unsafe('Bing’s explicit pictures', ['explicit.bing.net']),
  unsafe('DuckDuckGo without scripts', [
    'html.duckduckgo.com',
    'lite.duckduckgo.com',
    'noai.duckduckgo.com',
    'noscript.duckduckgo.com',
  ]),
  unsafe('Yandex', [...YANDEX.split(' ').map((country) => `yandex.${country}`), 'ya.ru']),
  unsafe('Brave Search', ['search.brave.com']),
  unsafe('Startpage', ['startpage.com', 'startpage.nl', 'ixquick.com']),
  unsafe('Yahoo', ['search.yahoo.com', 'search.yahoo.co.jp']),
  unsafe('Mojeek', ['mojeek.com', 'mojeek.co.uk']),
  unsafe('Kagi', ['kagi.com']),
  unsafe('AOL', ['search.aol.com', 'search.aol.co.uk']),
  unsafe('Ask', ['ask.com', 'ask.co.uk']),
  unsafe('Swisscows', ['swisscows.com', 'swisscows.ch']),
  unsafe('Baidu', ['www.baidu.com', 'm.baidu.com', 'image.baidu.com']),
  unsafe('Sogou', ['www.sogou.com', 'm.sogou.com', 'pic.sogou.com']),
  unsafe('Naver', ['search.naver.com']),
  unsafe('Seznam', ['search.seznam.cz']),
  unsafe('Lycos', ['search.lycos.com']),
  unsafe('a search of several engines', [
    'metager.org',
    'metager.de',
    'dogpile.com',
    'webcrawler.com',
    'metacrawler.com',
    'info.com',
    'searx.be',
    'searx.me',
    'searx.space',
    'searxng.site',
    'presearch.com',
    'presearch.org',
    'etools.ch',
    'gibiru.com',
  ]),
];

export const SEARCH_ENGINES: readonly SearchEngine[] = [...SAFE, ...UNSAFE];

function unsafe(title: string, names: readonly string[]): SearchEngine {
  return {
    title,
    kind: 'search',
    names,
    strict: null,
    moderate: null,
    known: 'no safe form by name that can be relied on',
    verified: '2026-08-22',
  };
}
