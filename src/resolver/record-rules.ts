// What a set of local records must hold to beyond each one's form: no double, nothing beside a CNAME, no CNAME that leads
// nowhere or round, not too many. And which of two sources is heard when both name the same.

import type { LocalRecord } from './local-record.ts';

/** `index` is the record's place in the set. */
export type RecordProblem = { readonly index: number; readonly problem: string; readonly advice: string };

/** More of one type at one name would not fit an answer. */
const MAX_VALUES = 50;
/** Longer chains are followed by no client either. */
const MAX_CHAIN = 8;

/** The mistakes of a set in the order of its records, one at most for each. */
export function findRecordProblems(records: readonly LocalRecord[]): RecordProblem[] {
  const byName = groupByName(records);
  const seen = new Set<string>();
  const counts = new Map<string, number>();
  const problems: RecordProblem[] = [];
  records.forEach((record, index) => {
    const { name, type, value } = record;
    const tell = (problem: string, advice: string): void => void problems.push({ index, problem, advice });
    const same = `${name} ${type} ${value}`;
    if (seen.has(same)) return tell(`${name} has this ${type} record already`, 'leave it out');
    seen.add(same);
    const count = (counts.get(`${name} ${type}`) ?? 0) + 1;
    counts.set(`${name} ${type}`, count);
    if (count > MAX_VALUES)
      return tell(
        `${name} has more than ${MAX_VALUES} ${type} records`,
        'leave some out: an answer has no room for more',
      );
    if (type !== 'CNAME') return;
    if (byName.get(name)!.length > 1)
      return tell(`${name} has other records beside this CNAME`, 'leave the CNAME out, or the others');
    const wrong = followCname(byName, record);
    if (wrong !== null) tell(wrong.problem, wrong.advice);
  });
  return problems;
}

/** The CNAME records that would lead nowhere without the record at `index`. */
export function leadingTo(records: readonly LocalRecord[], index: number): LocalRecord[] {
  const rest = records.filter((_, at) => at !== index);
  const before = new Set(brokenCnames(records));
  return brokenCnames(rest).filter((record) => !before.has(record));
}

/** The records of `first`, and those of `second` at names and types that `first` says nothing of. */
export function mergeRecords<R extends LocalRecord>(first: readonly R[], second: readonly R[]): R[] {
  const held = new Set(first.flatMap(({ name, type }) => [name, `${name} ${type}`]));
  return [
    ...first,
    ...second.filter(
      ({ name, type }) =>
        !held.has(`${name} ${type}`) && !held.has(`${name} CNAME`) && !(type === 'CNAME' && held.has(name)),
    ),
  ];
}

type ByName = ReadonlyMap<string, readonly LocalRecord[]>;

function groupByName(records: readonly LocalRecord[]): ByName {
  const byName = new Map<string, LocalRecord[]>();
  for (const record of records) {
    const held = byName.get(record.name);
    if (held === undefined) byName.set(record.name, [record]);
    else held.push(record);
  }
  return byName;
}

function brokenCnames(records: readonly LocalRecord[]): LocalRecord[] {
  const byName = groupByName(records);
  return records.filter((record) => record.type === 'CNAME' && followCname(byName, record) !== null);
}

/** What is wrong with where a CNAME leads, or null. */
function followCname(byName: ByName, first: LocalRecord): { problem: string; advice: string } | null {
  let record = first;
  for (let step = 0; step < MAX_CHAIN; step++) {
    const held = byName.get(record.value) ?? byName.get(wildcardAbove(byName, record.value));
    if (held === undefined) {
      return {
        problem: `${record.value} is not a local name`,
        advice: 'write a name that has a record here, or the addresses themselves',
      };
    }
    const next = held.find(({ type }) => type === 'CNAME');
    if (next === undefined) return null;
    if (next === first)
      return { problem: `${first.name} leads back to itself`, advice: 'write another name' };
    record = next;
  }
  return { problem: `${first.name} leads through too many names`, advice: 'write the last of them' };
}

/** The wildcard that stands for a name without data of its own, were there one. */
function wildcardAbove(byName: ByName, name: string): string {
  for (let at = name.indexOf('.'); at >= 0; at = name.indexOf('.', at + 1)) {
    const wildcard = `*${name.slice(at)}`;
    if (byName.has(wildcard)) return wildcard;
  }
  return '';
}
