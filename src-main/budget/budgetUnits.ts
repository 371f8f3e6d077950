import type { Budget, BudgetUnit } from '../contract/studies.ts';
import { StudioError } from '../contract/errors.ts';
import type { Measures } from './count.ts';

export type { Budget, BudgetUnit };

export function usedOf(measures: Measures, unit: BudgetUnit): number {
  switch (unit) {
    case 'parameters':
      return measures.trainable;
    case 'percentPaper':
      return measures.percentPaper;
    case 'percentBase':
      return measures.percentBase;
    case 'bytesF32':
      return measures.adapterBytes.f32;
    case 'bytesBf16':
      return measures.adapterBytes.bf16;
    default:
      throw new Error(`unknown unit ${String(unit satisfies never)}`);
  }
}

/** An amount of a unit in words, exactly: 83,886,080 trainable parameters. */
export function amountText(value: number, unit: BudgetUnit): string {
  switch (unit) {
    case 'parameters':
      return `${exact(value)} trainable parameters`;
    case 'percentPaper':
      return `${Number(value.toPrecision(6))} % as the paper counts`;
    case 'percentBase':
      return `${Number(value.toPrecision(6))} % of the base`;
    case 'bytesF32':
      return `${exact(value)} bytes in f32`;
    case 'bytesBf16':
      return `${exact(value)} bytes in bf16`;
    default:
      throw new Error(`unknown unit ${String(unit satisfies never)}`);
  }
}

// (A formatter of its own would load the tables of languages at each start: 27 ms.)
const exact = (value: number): string => value.toLocaleString('en-US');

/**
 * Refuses budgets that no count can be compared with.
 * @throws StudioError config_invalid
 */
export function checkBudget({ unit, most }: Budget): Budget {
  const isWhole = unit !== 'percentPaper' && unit !== 'percentBase';
  if (isWhole && (!Number.isSafeInteger(most) || most < 1))
    throw refused(
      `A budget of ${most} ${unit === 'parameters' ? 'parameters' : 'bytes'} is no whole number from 1 to 9,007,199,254,740,991 (2^53 - 1).`,
    );
  if (!isWhole && !(most > 0 && most <= 100))
    throw refused(`A budget of ${most} % does not lie above 0 and up to 100.`);
  return { unit, most };
}

/** By what is typed behind a number, in small letters. */
const multiples = new Map([
  ['parameters', 1],
  ['params', 1],
  ['k', 1e3],
  ['m', 1e6],
  ['million', 1e6],
  ['b', 1e9],
  ['g', 1e9],
  ['billion', 1e9],
]);
const byteUnits = new Map([
  ['kb', 1e3],
  ['mb', 1e6],
  ['gb', 1e9],
  ['kib', 2 ** 10],
  ['mib', 2 ** 20],
  ['gib', 2 ** 30],
]);
const percents = new Map([
  ['base', 'percentBase'],
  ['paper', 'percentPaper'],
] as const);
const dtypes = new Map([
  ['f32', 'bytesF32'],
  ['bf16', 'bytesBf16'],
] as const);

/** What a text leaves open. */
export interface BudgetChoice {
  /** Of a number without a unit; absent: parameters. */
  plain?: { unit: BudgetUnit; factor: number };
  percent: 'percentPaper' | 'percentBase';
  bytes: 'bytesF32' | 'bytesBf16';
  /** Trainable parameters of a run, for `like RUN`. @throws StudioError where there is none of that name */
  trainableOf(run: string): number;
}

/**
 * Reads a budget as people write it: 4000000, 4M, 50e6, 4 million, 0.5 %, 0,5 %, 8 MB (of 1,000,000 bytes), 8MiB, 0.5 %
 * paper, 8 MB bf16, like RUN. The page and the command line read with this one function.
 *
 * @throws StudioError config_invalid that names what was typed
 */
export function parseBudget(text: string, choice: BudgetChoice): Budget {
  const typed = text.trim();
  const run = /^(?:like\s+|run:\s*)(.+)$/i.exec(typed)?.[1];
  if (run !== undefined) return { unit: 'parameters', most: choice.trainableOf(run) };
  const [, number = '', rest = ''] = /^([0-9][0-9.,_\u00a0\u202f ]*(?:e\+?[0-9]+)?)(.*)$/i.exec(typed) ?? [];
  const value = readNumber(number.trim());
  if (value === null)
    throw unread(typed, number === '' ? 'it does not begin with a number' : 'the number is unclear');
  const [sign = '', ...words] = rest.trim().toLowerCase().split(/\s+/);
  // 0.5 % of the base, 0.5 % as the paper counts, 8 MB in bf16
  const meant = words
    .join(' ')
    .replace(/^(of |as |in )?(the )?/, '')
    .replace(/ counts$/, '');
  const bytes = byteUnits.get(sign);
  const parameters = multiples.get(sign);
  if (sign === '%') {
    const unit = meant === '' ? choice.percent : percents.get(meant as 'base');
    if (unit) return checkBudget({ unit, most: value });
  } else if (bytes !== undefined) {
    const unit = meant === '' ? choice.bytes : dtypes.get(meant as 'f32');
    if (unit) return checkBudget({ unit, most: scaled(value, bytes) });
  } else if (sign === '') {
    const { unit, factor } = choice.plain ?? { unit: 'parameters', factor: 1 };
    return checkBudget({ unit, most: scaled(value, factor) });
  } else if (parameters !== undefined && ['', 'parameters', 'params'].includes(meant))
    return checkBudget({ unit: 'parameters', most: scaled(value, parameters) });
  throw unread(typed, `"${rest.trim()}" is no unit`);
}

/** A number with a point or a comma before its fraction, and with groups of three; null where it is unclear. */
function readNumber(text: string): number | null {
  const [, digits = '', exponent = ''] = /^([^e]*)(e.*)?$/i.exec(text.replaceAll('_', '')) ?? [];
  const plain = (whole: string, fraction = '') =>
    Number(`${whole.replace(/\D/g, '')}.${fraction || 0}${exponent}`);
  // 4000000, 0.5, 0,5
  const simple = /^(\d+)(?:[.,](\d+))?$/.exec(digits);
  const grouped = /^[1-9]\d{0,2}(?:([,.\u00a0\u202f ])\d{3})(?:\1\d{3})*(?:([.,])(\d+))?$/.exec(digits);
  // 4,000 is four thousand, as it always was; 4.000 is four.
  if (grouped && (grouped[1] !== '.' || !simple) && grouped[1] !== grouped[2])
    return plain(digits.slice(0, digits.length - (grouped[3] ? grouped[3].length + 1 : 0)), grouped[3]);
  return simple ? plain(simple[1]!, simple[2]) : null;
}

/** value * factor, whole where the decimal number is: 0.3 M is 300,000. */
function scaled(value: number, factor: number): number {
  const product = value * factor;
  const whole = Math.round(product);
  return Math.abs(product - whole) < 1e-9 * Math.max(1, product)
    ? whole
    : factor === 1
      ? product
      : Math.floor(product);
}

function unread(text: string, why: string): StudioError {
  return refused(text === '' ? 'There is no budget.' : `"${text}" is no budget: ${why}.`);
}

function refused(message: string): StudioError {
  return new StudioError(
    'config_invalid',
    message,
    'Give parameters (4000000, 4M or 50e6), a percentage (0.5 %), the size of the file (8 MB, of 1,000,000 bytes), or what a run has (like RUN).',
  );
}
