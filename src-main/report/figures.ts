import type { ReportCell, ReportColumn, ReportSubject, Measurement } from './report.ts';

/** Numbers of a report as they are written in every form. */

export const significance = 0.05;
/** Marks against the baseline, as in the paper, and one for what is worse. */
export const marks = { better: '†', worse: '‡', none: '' } as const;

/** A value of a column in its unit, without it. */
export function valueText({ unit }: Pick<ReportColumn, 'unit'>, value: number): string {
  return unit === 'percent' ? (100 * value).toFixed(1) : value.toFixed(3);
}

/** `63.5 (60.9 to 66.1)`. */
export function cellText(column: ReportColumn, { value, interval: [low, high] }: ReportCell): string {
  if (value === null) return 'none graded';
  return `${valueText(column, value)} (${valueText(column, low)} to ${valueText(column, high)})`;
}

/** What stands beside a value: items, seeds, what was not graded. */
export function basisText({ n, ungraded, seeds }: ReportCell): string {
  const items = `n = ${countText(n)}`;
  const of = seeds.length === 0 ? 'not trained' : `${seeds.length} ${seeds.length === 1 ? 'seed' : 'seeds'}`;
  return [items, of, ...(ungraded > 0 ? [`${countText(ungraded)} not graded`] : [])].join(', ');
}

/** `HumanEval, pass@5`, `GSM8K, 5 shots`, `Loss on test.jsonl`. */
export function columnName({ label, measure, data, shots, isChat }: ReportColumn): string {
  if (measure === 'loss') return `Loss on ${data}`;
  const parts = [label, ...(measure === 'score' ? [] : [measure]), ...(shots > 0 ? [`${shots} shots`] : [])];
  return [...parts, ...(isChat ? ['conversation'] : [])].join(', ');
}

/** The same with its unit. */
export function columnHead(column: ReportColumn): string {
  return `${columnName(column)}, ${column.unit === 'percent' ? '%' : 'nats'}`;
}

/** A difference in a column's unit, with its sign. */
export function differenceText(column: Pick<ReportColumn, 'unit'>, value: number): string {
  return `${value < 0 ? '−' : '+'}${valueText(column, Math.abs(value))}`;
}

/** How the items of a column were asked. */
export function columnBasis({ n, shots, isChat, data, version }: ReportColumn): string {
  const asked = [`n = ${countText(n)}`, `${shots} shots`, ...(isChat ? ['as a conversation'] : [])];
  return [...asked, data, version].join(', ');
}

export function countText(value: number): string {
  return value.toLocaleString('en-US');
}

/** A share of the base model's parameters, with three digits that say something. */
export function percentText(value: number | null): string {
  return value === null ? '–' : `${value >= 10 ? value.toFixed(0) : value.toPrecision(3)} %`;
}

export function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(bytes < 1e7 ? 2 : 0);
}

/** The mean, and its range where it was measured more than once. */
export function measuredText(measured: Measurement | null, text: (value: number) => string): string {
  if (measured === null) return '–';
  const { mean, least, most, n } = measured;
  return n === 1 ? text(mean) : `${text(mean)} (${text(least)} to ${text(most)})`;
}

export function milliseconds(seconds: number): string {
  return Number((1000 * seconds).toPrecision(3)).toString();
}

export function pText(p: number): string {
  return p < 0.001 ? '< 0.001' : p.toPrecision(2);
}

/** `ID-LoRA, rank 8`. */
export function methodText({ label, rank, method }: ReportSubject): string {
  return rank === null || method === 'full' ? label : `${label}, rank ${rank}`;
}

/** What the marks of a table mean. */
export function markLegend(baseline: string | null, family: number): string {
  const told =
    baseline === null
      ? 'Nothing is marked: there is nothing to compare with.'
      : `${marks.better} better and ${marks.worse} worse than ${baseline} (p < ${significance}, paired test on the same items, Holm over ${family} ${family === 1 ? 'pair' : 'pairs'} of all columns).`;
  return `${told} Bold: the best, or not told apart from it. Subjects of a column that share a letter are not told apart. In brackets 95 % intervals.`;
}
