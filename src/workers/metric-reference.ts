// docs/metrics.md, made from the catalogue: every figure of /metrics, with its type, its labels and what it says.

import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { CATALOGUE } from './metric-catalogue.ts';
import type { Metric } from './metric-catalogue.ts';

const FILE = fileURLToPath(new URL('../../docs/metrics.md', import.meta.url));

const HEAD = `# Metrics

Made from the catalogue in the code by \`npm run docs\`; do not edit it by hand.

\`/metrics\` on the web port gives Prometheus text to the networks of \`metrics.allow\`, and to nobody else. It names no person, no client
address and no site that anybody visits; upstreams and the domains they are asked for are in it as configured. A scrape:

\`\`\`yaml
scrape_configs:
  - job_name: schoolgate
    scrape_interval: 15s
    static_configs:
      - targets: ['gateway.school.example:8080']
\`\`\`

Figures are of one thread each (\`thread="dns-0"\`, \`"proxy-0"\`, \`"audit-writer"\`), as it last told them, once a second; \`sum without (thread)\`
adds them up. Counters begin at 0 with their thread: after a restart of the gateway, or of a thread that was replaced
(\`schoolgate_thread_restarts_total\`), \`rate()\` and \`increase()\` do the right thing. Those of upstreams, of the cache and of the tunnel guard
begin at 0 with a changed configuration too. Times are in seconds, sizes in bytes.

| Wanted | PromQL |
| --- | --- |
| queries a second | \`sum(rate(schoolgate_dns_queries_total[1m]))\` |
| by verdict | \`sum by (verdict) (rate(schoolgate_dns_answers_total[5m]))\` |
| share of the cache | \`sum(rate(schoolgate_dns_cache_hits_total[5m])) / (sum(rate(schoolgate_dns_cache_hits_total[5m])) + sum(rate(schoolgate_dns_cache_misses_total[5m])))\` |
| 95 % of an upstream's answers within | \`histogram_quantile(0.95, sum by (upstream, le) (rate(schoolgate_upstream_latency_seconds_bucket[5m])))\` |
| an upstream is down | \`min by (upstream) (schoolgate_upstream_up) == 0\` |
| the rate limit bites | \`schoolgate_dns_limited_clients > 0\` |
| datagrams lost | \`sum by (reason) (rate(schoolgate_dns_udp_dropped_total[5m])) > 0\` |
| the audit log lost something | \`sum(schoolgate_audit_lost_total) + sum(schoolgate_audit_blocks_lost_total) > 0\` |

The same for people: \`schoolgate status\`, or \`GET /api/v1/status\` for technicians, with rates and shares of the last minute, all
together and by thread, and with the clients that met the rate limit. The figures of the process (\`process_*\`, \`nodejs_*\`) follow those below.

`;

const cells = (texts: readonly string[]): string =>
  `| ${texts.map((text) => text.replaceAll('|', '\\|')).join(' | ')} |`;

const row = ({ name, type, labels, help }: Metric): string =>
  cells([`\`${name}\``, type, labels.map((label) => `\`${label}\``).join(', '), help]);

export function renderMetricReference(): string {
  const lines = [
    cells(['Metric', 'Type', 'Labels', 'Says']),
    '| --- | --- | --- | --- |',
    ...CATALOGUE.map(row),
  ];
  return `${HEAD}${lines.join('\n')}\n`;
}

/** Writes it; returns the name of the file. */
export function writeMetricReference(): string {
  writeFileSync(FILE, renderMetricReference());
  return FILE;
}
