// Every figure that /metrics gives: its name, its type, what it says and where it comes from. The one table for the text that
// Prometheus reads, for docs/metrics.md and for the tests. No behaviour beyond writing the table.

export type MetricType = 'counter' | 'gauge' | 'histogram';

export type Metric = {
  readonly name: string;
  readonly type: MetricType;
  readonly help: string;
  readonly labels: readonly string[];
};

/** A figure that threads send: which of their numbers it shows, and what its label says of each. */
export type ThreadMetric = Metric & { readonly from: Readonly<Record<string, string>> };

/** A label and, for each number of the thread, its value. */
type Split = readonly [label: string, from: Readonly<Record<string, string>>];

function figure(type: MetricType, name: string, help: string, from: string | Split): ThreadMetric {
  const split = typeof from !== 'string';
  return {
    name: `schoolgate_${name}`,
    type,
    help,
    labels: split ? ['thread', from[0]] : ['thread'],
    from: split ? from[1] : { [from]: '' },
  };
}

const counter = (name: string, help: string, from: string | Split): ThreadMetric =>
  figure('counter', `${name}_total`, help, from);
const gauge = (name: string, help: string, from: string | Split): ThreadMetric =>
  figure('gauge', name, help, from);

/** One number of each kind of stream server, told apart by transport. */
const streams = (key: string, kinds: readonly string[] = ['tcp', 'dot', 'doh']): Split => [
  'transport',
  Object.fromEntries(kinds.map((kind) => [`${kind}_${key}`, kind])),
];
const ENCRYPTED = ['dot', 'doh'] as const;

const DNS: readonly ThreadMetric[] = [
  counter('dns_queries', 'DNS queries by how they came.', [
    'transport',
    { queries_udp: 'udp', queries_tcp: 'tcp', queries_dot: 'dot', queries_doh: 'doh' },
  ]),
  counter(
    'dns_answers',
    'DNS queries by the verdict they were answered with: allow, block, rewrite (safe search), portal (sign in first), nodata (that type of record leads round the filter), any (the short answer to ANY), local (a name of the school), special (a name that never leaves, RFC 6761), failed (no upstream had an answer), error (the policy could not be asked, so it was refused).',
    [
      'verdict',
      {
        allowed: 'allow',
        blocked: 'block',
        rewritten: 'rewrite',
        portal: 'portal',
        nodata: 'nodata',
        any: 'any',
        local: 'local',
        special: 'special',
        failed: 'failed',
        undecided: 'error',
      },
    ],
  ),
  counter(
    'dns_turned_away',
    'DNS queries turned away before the policy: unserved (not from a network of dns.serve), rate (over dns.rate_limit, told to come back by TCP), flood (so far over it that nothing is said), kind (a kind of query that is not answered, such as a zone transfer), crowded (too many questions wait for the upstreams), silent (no query at all).',
    [
      'reason',
      {
        unserved: 'unserved',
        limited: 'rate',
        dropped: 'flood',
        refused: 'kind',
        crowded: 'crowded',
        silent: 'silent',
      },
    ],
  ),
  counter('dns_malformed', 'DNS queries that could not be read; each got an error.', 'malformed'),
  counter('dns_internal_errors', 'DNS queries that met an error of the gateway; SERVFAIL.', 'errors'),
  counter(
    'dns_truncated',
    'Answers cut because they did not fit; the client asks again by TCP.',
    'truncated',
  ),
  counter('dns_unrecorded', 'Answers of which the audit log could not be told. Must be 0.', 'unrecorded'),
  gauge('dns_waiting', 'DNS questions that wait for an upstream now.', 'waiting'),
  gauge('dns_known_clients', 'Client addresses remembered, 16,384 at most.', 'clients'),
  counter('dns_cache_hits', 'Allowed queries answered from the cache, still fresh.', 'cached'),
  counter('dns_cache_misses', 'Allowed queries that had to wait for an upstream.', 'forwarded'),
  counter('dns_cache_stale', 'Answers beyond their time, as the upstreams are silent (RFC 8767).', 'stale'),
  counter('dns_cache_refreshed', 'Stale answers asked for anew in the background.', 'refreshed'),
  counter('dns_cache_prefetched', 'Popular answers renewed before their time was over.', 'prefetched'),
  gauge('dns_cache_entries', 'Answers in the cache.', 'cacheEntries'),
  gauge('dns_cache_bytes', 'Memory that the answers in the cache take.', 'cacheBytes'),
  counter('dns_cache_evicted', 'Answers that gave way to newer ones, as the cache was full.', 'cacheEvicted'),
  counter('dns_tunnel_judged', 'Names judged by the guard against data carried in DNS.', 'tunnel_judged'),
  counter('dns_tunnel_flagged', 'Names that it wrote to the log.', 'tunnel_flagged'),
  counter('dns_tunnel_limited', 'Names that it refused.', 'tunnel_limited'),
  counter('dns_udp_received', 'Datagrams received.', 'udp_received'),
  counter('dns_udp_sent', 'Datagrams sent in answer.', 'udp_sent'),
  counter(
    'dns_udp_dropped',
    'Datagrams lost or dropped: port_zero (nobody can be answered there), oversized (no query is that long), send_queue (answers that the system took no more of), socket_buffer (queries that came faster than they were read; counted by the system, batched mode only).',
    [
      'reason',
      {
        udp_unanswerable: 'port_zero',
        udp_cut: 'oversized',
        udp_dropped: 'send_queue',
        udp_overflowed: 'socket_buffer',
      },
    ],
  ),
  counter('dns_udp_errors', 'Errors of the UDP sockets.', 'udp_errors'),
  counter('dns_udp_batches', 'System calls that brought queries; batched mode only.', 'udp_batches'),
  gauge('dns_udp_batch_size', 'Queries a batch, the mean since the thread began.', 'udp_perBatch'),
  gauge(
    'dns_udp_queued_bytes',
    'Bytes of queries that wait in the sockets; batched mode only.',
    'udp_queuedBytes',
  ),
  gauge('dns_connections_open', 'Connections open now.', streams('open')),
  counter('dns_connections_accepted', 'Connections accepted.', streams('accepted')),
  counter(
    'dns_connections_turned_away',
    'Connections turned away, as their client or all together had too many.',
    streams('turnedAway'),
  ),
  counter('dns_connections_idle', 'Connections ended after resting too long.', streams('idle')),
  counter('dns_connections_errors', 'Connections that broke.', streams('errors')),
  counter(
    'dns_connections_bad_headers',
    'Connections without the PROXY header they owe.',
    streams('badHeaders'),
  ),
  counter('dns_stream_answers', 'Answers sent over connections.', streams('answers')),
  counter('dns_tls_handshakes', 'TLS handshakes completed.', streams('handshakes', ENCRYPTED)),
  counter('dns_tls_resumed', 'Of them, those that resumed a session.', streams('resumed', ENCRYPTED)),
  counter('dns_tls_failed', 'TLS handshakes that failed.', streams('failedHandshakes', ENCRYPTED)),
  counter('dns_doh_http1', 'Connections of DoH that speak HTTP/1.1.', 'doh_http1'),
  counter('dns_doh_refused', 'HTTP requests of DoH that are no query.', 'doh_refused'),
];

const PROXY: readonly ThreadMetric[] = [
  counter('proxy_requests', 'Requests, those for tunnels included.', 'requests'),
  counter('proxy_forwarded', 'Requests sent on to their origin.', 'forwarded'),
  counter('proxy_tunnels', 'Tunnels opened (CONNECT).', 'tunnels'),
  gauge('proxy_tunnels_open', 'Tunnels open now.', 'openTunnels'),
  counter('proxy_blocked', 'Requests that the policy refused.', 'blocked'),
  counter('proxy_failed', 'Requests whose origin could not be reached or did not answer.', 'failed'),
  counter('proxy_malformed', 'Requests that could not be read.', 'malformed'),
  counter('proxy_ended_by_change', 'Transfers ended as the policy no longer allows them.', 'endedByChange'),
  counter('proxy_timed_out', 'Requests and tunnels ended as nothing moved.', 'timedOut'),
  counter('proxy_connections_turned_away', 'Connections refused, as there were too many.', 'crowded'),
  gauge('proxy_connections_open', 'Client connections open now.', 'connections'),
  gauge('proxy_under_way', 'Requests and tunnels under way now.', 'open'),
  gauge('proxy_spare_origins', 'Connections to origins kept for the next request.', 'spareOrigins'),
];

/** What DNS and proxy threads have in common. */
const DATA: readonly ThreadMetric[] = [
  counter(
    'upstream_questions',
    'Questions for the upstreams by how they ended: answered, failed (nobody answered in time), refused (too many wait).',
    ['outcome', { upstream_answered: 'answered', upstream_failed: 'failed', upstream_refused: 'refused' }],
  ),
  counter('upstream_merged', 'Questions that joined the same one under way.', 'upstream_merged'),
  gauge('upstream_waiting', 'Different questions in flight now.', 'upstream_inFlight'),
  gauge('audit_ring_fill_ratio', 'How full the way to the audit writer is, 0 to 1.', 'audit_ring_fill'),
  gauge('audit_waiting', 'Allowed visits counted together and still to be told.', 'audit_waiting'),
  counter('audit_dropped', 'Allowed visits not recorded, as the way was full.', 'audit_dropped'),
  counter('audit_spilled', 'Blocks that went into a file, as the way was full.', 'audit_spilled'),
  counter('audit_blocks_lost', 'Blocks that could not be kept anywhere. Must be 0.', 'audit_lost'),
];

const AUDIT: readonly ThreadMetric[] = [
  counter('audit_written', 'Events whose rows are in the database.', 'written'),
  counter('audit_joined', 'Of those taken in, events that joined a row that was there.', 'coalesced'),
  counter('audit_taken_from_spill', 'Events taken in from spill files.', 'spilled'),
  gauge('audit_rows_held', 'Rows that wait in memory, as the database cannot be written.', 'held'),
  counter('audit_rows_removed', 'Rows removed as their time was over.', 'removed'),
  counter('audit_databases_replaced', 'Databases begun anew, as one was damaged or gone.', 'replaced'),
  counter(
    'audit_lost',
    'Events lost by the writer: visits, kept (blocks and overrides), undecodable. Must be 0.',
    ['what', { lostVisits: 'visits', lostKept: 'kept', undecodable: 'undecodable' }],
  ),
];

const EVERY: readonly ThreadMetric[] = [
  gauge(
    'thread_heap_used_bytes',
    'JavaScript heap in use. The index is shared and not in it.',
    'heapUsedBytes',
  ),
  gauge('thread_heap_total_bytes', 'JavaScript heap reserved.', 'heapTotalBytes'),
  gauge('thread_heap_external_bytes', 'Buffers outside the heap.', 'heapExternalBytes'),
  counter('thread_cpu_seconds', 'CPU time of the thread.', [
    'mode',
    { cpuUserSeconds: 'user', cpuSystemSeconds: 'system' },
  ]),
];

/** By the first part of a thread's name: what it sends. */
export const THREAD_METRICS: Readonly<Record<'dns' | 'proxy' | 'audit', readonly ThreadMetric[]>> = {
  dns: [...DNS, ...DATA, ...EVERY],
  proxy: [...PROXY, ...DATA, ...EVERY],
  audit: [...AUDIT, ...EVERY],
};

const UPSTREAM_LABELS = ['thread', 'upstream', 'kind', 'domain'] as const;

/** Of each upstream in each thread; `from` is the number of its state. */
export const UPSTREAM_METRICS = {
  up: {
    name: 'schoolgate_upstream_up',
    type: 'gauge',
    help: '1, or 0 after several failures in a row until it answers again.',
    labels: UPSTREAM_LABELS,
  },
  latency: {
    name: 'schoolgate_upstream_latency_seconds',
    type: 'histogram',
    help: 'How long answers took, from sending to receiving.',
    labels: UPSTREAM_LABELS,
  },
  counts: (
    [
      ['queries', 'counter', 'Queries sent to it, repeated ones included.'],
      ['answers', 'counter', 'Answers of it that fit.'],
      ['failures', 'counter', 'Times it was out of reach or silent.'],
      ['timeouts', 'counter', 'Of them, queries not answered in time.'],
      ['retried', 'counter', 'Queries to it because another had failed.'],
      ['hedged', 'counter', 'Queries to it because another was slow.'],
      ['tcp', 'counter', 'Queries to it that went on over TCP.'],
      ['mismatched', 'counter', 'Answers in its name that did not fit what was asked.'],
      ['spoofed', 'counter', 'Questions for which somebody seemed to be guessing answers.'],
      ['in_flight', 'gauge', 'Queries it owes an answer now.'],
    ] as const
  ).map(([key, type, help]) => ({
    key: key === 'in_flight' ? ('inFlight' as const) : key,
    name: `schoolgate_upstream_${key}${type === 'counter' ? '_total' : ''}`,
    type,
    help,
    labels: UPSTREAM_LABELS,
  })),
} as const;

const single = (name: string, help: string, ...labels: string[]): Metric => ({
  name: `schoolgate_${name}`,
  type: name.endsWith('_total') ? 'counter' : 'gauge',
  help,
  labels,
});

/** What the gateway as a whole says of itself. */
export const GATEWAY_METRICS = {
  threadUp: single('thread_up', '1, or 0 while the thread is being replaced.', 'thread'),
  threadRestarts: single('thread_restarts_total', 'Times the thread died and was replaced.', 'thread'),
  limitedClients: single(
    'dns_limited_clients',
    'Clients that met dns.rate_limit within the last hour, 1,024 at most; who they are is in `schoolgate status`.',
  ),
  indexNames: single('index_names', 'Names in the index in force.'),
  indexLists: single('index_lists', 'Lists in the index in force.'),
  indexSealedNames: single('index_sealed_names', 'Names in sealed lists.'),
  indexGeneration: single('index_generation', 'Generation of the index in force.'),
  indexBuilding: single('index_building', '1 while the next index is built.'),
  policyGeneration: single('policy_generation', 'Revision of the policy in force.'),
  overridesGranted: single('overrides_granted', 'Overrides in force or still to begin.'),
} as const;

const perThread = new Set(Object.values(THREAD_METRICS).flat());

/** All of them, in the order of the text. */
export const CATALOGUE: readonly Metric[] = [
  ...perThread,
  UPSTREAM_METRICS.up,
  UPSTREAM_METRICS.latency,
  ...UPSTREAM_METRICS.counts,
  ...Object.values(GATEWAY_METRICS),
];
