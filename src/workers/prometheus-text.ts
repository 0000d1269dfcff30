// The text that Prometheus reads, version 0.0.4: one block for each metric. It knows the format, not the figures.

import type { Metric } from './metric-catalogue.ts';

/** `values` of the labels in their order. */
export type Sample = { readonly values: readonly string[]; readonly value: number };

export type HistogramSample = {
  readonly values: readonly string[];
  /** by step, not added up; the last are those beyond every step */
  readonly counts: readonly number[];
  readonly sum: number;
};

const escapeHelp = (text: string): string => text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
const escapeValue = (text: string): string => escapeHelp(text).replaceAll('"', '\\"');

function labelled(labels: readonly string[], values: readonly string[]): string {
  if (labels.length === 0) return '';
  return `{${labels.map((label, i) => `${label}="${escapeValue(values[i] ?? '')}"`).join(',')}}`;
}

const head = ({ name, help, type }: Metric): string =>
  `# HELP ${name} ${escapeHelp(help)}\n# TYPE ${name} ${type}\n`;

/** Empty when there is nothing to say. */
export function renderSamples(metric: Metric, samples: readonly Sample[]): string {
  if (samples.length === 0) return '';
  const lines = samples.map(
    ({ values, value }) => `${metric.name}${labelled(metric.labels, values)} ${value}\n`,
  );
  return head(metric) + lines.join('');
}

/** `steps` are upper bounds in the unit of the metric. */
export function renderHistogram(
  metric: Metric,
  steps: readonly number[],
  samples: readonly HistogramSample[],
): string {
  if (samples.length === 0) return '';
  const { name, labels } = metric;
  const lines = samples.map(({ values, counts, sum }) => {
    let total = 0;
    const buckets = counts.map((count, i) => {
      total += count;
      const le = i < steps.length ? String(steps[i]) : '+Inf';
      return `${name}_bucket${labelled([...labels, 'le'], [...values, le])} ${total}\n`;
    });
    const own = labelled(labels, values);
    return `${buckets.join('')}${name}_sum${own} ${sum}\n${name}_count${own} ${total}\n`;
  });
  return head(metric) + lines.join('');
}
