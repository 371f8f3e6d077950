import type { Comparison } from '../../src-main/contract/evaluation/comparison.ts';
import type { Evaluation } from '../../src-main/contract/results.ts';

/** Numbers as people read them. Every function names its unit; exact values go into a title beside it. */

const exact = new Intl.NumberFormat('en-US');

/** 49,020,928 */
export function count(value: number): string {
  return exact.format(value);
}

/** 49.0 M; below ten thousand in full. */
export function shortCount(value: number): string {
  const size = Math.abs(value);
  if (size < 10_000) return exact.format(value);
  const [divisor, unit] = size < 999_500 ? [1e3, 'k'] : size < 999_500_000 ? [1e6, 'M'] : [1e9, 'B'];
  return `${significant(value / divisor)} ${unit}`;
}

/** Bytes in decimal units, as disks are sold: 8.0 MB. */
export function bytes(value: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let power = 0;
  let scaled = value;
  while (scaled >= 999.5 && power < units.length - 1) {
    scaled /= 1000;
    power++;
  }
  return `${power === 0 ? scaled : significant(scaled)} ${units[power]}`;
}

/** Three significant digits, without an exponent: 0.0512, 5.12, 512. */
function significant(value: number): string {
  const size = Math.abs(value);
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2);
}

/** A loss in nats. */
export function loss(value: number | null): string {
  return value === null ? '–' : value.toFixed(3);
}

/** A learning rate: 2.0e-4, and plain zero. */
export function rate(value: number): string {
  return value === 0 ? '0' : value >= 0.01 ? value.toPrecision(2) : value.toExponential(1);
}

/** A share in percent with as many digits as it needs to be told from zero. */
export function percent(value: number): string {
  if (value === 0) return '0 %';
  return `${value < 0.1 ? value.toPrecision(2) : value.toFixed(value < 10 ? 2 : 1)} %`;
}

/** The time of one step: 0.042 s, 1.2 s, 45 s. */
export function stepDuration(milliseconds: number): string {
  return milliseconds < 10_000 ? `${Number((milliseconds / 1000).toPrecision(2))} s` : duration(milliseconds);
}

/** 45 s, 4 min, 2 h 10 min, 12 days, 3 years; beyond that nobody waits. */
export function duration(milliseconds: number): string {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours >= 72) {
    const days = Math.round(hours / 24);
    if (days < 730) return `${days} days`;
    const years = Math.round(days / 365.25);
    return years > 1000 ? 'over 1,000 years' : `${years} years`;
  }
  return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60} min`;
}

const timeFormat = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit' });
const dateFormat = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', year: 'numeric' });

/** A moment, in words for today and as a date otherwise. */
export function moment(iso: string, now = new Date()): string {
  const at = new Date(iso);
  const time = timeFormat.format(at);
  if (at.toDateString() === now.toDateString()) return `today ${time}`;
  return `${dateFormat.format(at)} ${time}`;
}

/** Digits after the point so that an interval's half-width keeps two significant digits. */
export function digitsFor(halfWidth: number): number {
  if (!(halfWidth > 0)) return 1;
  return Math.min(6, Math.max(0, 1 - Math.floor(Math.log10(halfWidth))));
}

/** With fewer items a perplexity has no interval worth showing. */
export const fewestItems = 6;

/** 63.5 % (60.9 to 66.1), 0 % (0 to 16), or 12.40 (12.10 to 12.71) for a perplexity: bounds lie unevenly around it. */
export function score({
  score: value,
  interval: [low, high],
  metric,
  n,
}: Pick<Evaluation, 'score' | 'interval' | 'metric' | 'n'>): string {
  if (metric === 'perplexity' && n < fewestItems) return value.toPrecision(3);
  const factor = metric === 'accuracy' ? 100 : 1;
  const half = (factor * (high - low)) / 2;
  const digits = metric === 'accuracy' ? (half < 5 ? 1 : 0) : Math.min(3, digitsFor(half));
  const show = (number: number) => (factor * number).toFixed(digits);
  return `${show(value)}${metric === 'accuracy' ? ' %' : ''} (${show(low)} to ${show(high)})`;
}

/** A verdict in words: nobody leads where a test cannot tell. A sign is never alone: words stand beside it. */
export function verdictOf({ verdict, a, b }: Pick<Comparison, 'verdict' | 'a' | 'b'>): {
  sign: string;
  words: string;
} {
  switch (verdict) {
    case 'b_better':
      return { sign: '↑', words: `${b} is better than ${a}` };
    case 'a_better':
      return { sign: '↓', words: `${b} is worse than ${a}` };
    case 'cannot_tell':
      return { sign: '≈', words: `Cannot tell ${b} and ${a} apart yet` };
    default:
      throw new Error(`unknown verdict ${String(verdict satisfies never)}`);
  }
}
