import type { Budget, BudgetUnit } from '../contract/budget.ts';
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
      return `${exact.format(value)} trainable parameters`;
    case 'percentPaper':
      return `${Number(value.toPrecision(6))} % as the paper counts`;
    case 'percentBase':
      return `${Number(value.toPrecision(6))} % of the base`;
    case 'bytesF32':
      return `${exact.format(value)} bytes in f32`;
    case 'bytesBf16':
      return `${exact.format(value)} bytes in bf16`;
    default:
      throw new Error(`unknown unit ${String(unit satisfies never)}`);
  }
}

const exact = new Intl.NumberFormat('en-US');

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

const multiples: Readonly<Record<string, number>> = { '': 1, k: 1e3, M: 1e6, G: 1e9, B: 1e9 };
const byteUnits: Readonly<Record<string, number>> = {
  kB: 1e3,
  MB: 1e6,
  GB: 1e9,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
};

/**
 * Reads a budget as people write it: 4000000, 4M, 0.5%, 8MB (of 1,000,000 bytes), 8MiB.
 *
 * @param choice which percent and which bytes are meant
 * @throws StudioError config_invalid
 */
export function parseBudget(
  text: string,
  choice: { percent: 'percentPaper' | 'percentBase'; bytes: 'bytesF32' | 'bytesBf16' },
): Budget {
  const found = /^([0-9][0-9,_]*(?:\.[0-9]+)?(?:e[0-9]+)?) ?(%|[a-zA-Z]*)$/.exec(text.trim());
  const [, digits, sign = ''] = found ?? [];
  if (digits === undefined) throw unread(text);
  const value = Number(digits.replaceAll(/[,_]/g, ''));
  if (sign === '%') return checkBudget({ unit: choice.percent, most: value });
  if (Object.hasOwn(byteUnits, sign))
    return checkBudget({ unit: choice.bytes, most: scaled(value, byteUnits[sign]!) });
  if (Object.hasOwn(multiples, sign))
    return checkBudget({ unit: 'parameters', most: scaled(value, multiples[sign]!) });
  throw unread(text);
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

function unread(text: string): StudioError {
  return refused(`"${text}" is no budget.`);
}

function refused(message: string): StudioError {
  return new StudioError(
    'config_invalid',
    message,
    'Give parameters (4000000 or 4M), a percentage (0.5%) or the size of the file (8MB, of 1,000,000 bytes).',
  );
}
