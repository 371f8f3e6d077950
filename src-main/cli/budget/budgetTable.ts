import { amountText, type Budget } from '../../budget/budgetUnits.ts';
import type { BudgetLine, BudgetReport } from '../../budget/report.ts';
import { sizeOptions } from '../../budget/searchSpace.ts';
import { formatBytes, formatCount, formatTable } from '../output.ts';

/** A budget report for people. */
export function describeBudget(report: BudgetReport): string {
  const { budget } = report;
  const table = formatTable(
    [
      'method',
      'rank',
      ...(budget ? ['options', 'targets'] : []),
      'trainable',
      '% as the paper counts',
      '% of the base',
      'frozen extra',
      'adapter (f32)',
      'FLOPs a token, inference',
      'training',
      'rank of the update',
      ...(budget ? ['unused'] : []),
    ],
    report.methods.map((line) => [
      line.method,
      line.method === 'full' ? '–' : String(line.rank),
      ...(budget ? [options(line), line.method === 'full' ? '–' : targetsText(line)] : []),
      formatCount(line.trainable),
      line.percentPaper.toFixed(3),
      line.percentBase.toFixed(3),
      formatCount(line.frozenExtra),
      formatBytes(line.adapterBytes),
      formatCount(line.extraFlops.inference),
      formatCount(line.extraFlops.training),
      line.rankBound ? String(line.rankBound.token) : '–',
      ...(budget ? [unused(line, budget)] : []),
    ]),
  );
  return [
    `${report.model}: ${formatCount(report.base)} parameters`,
    ...(budget ? [`Budget: ${amountText(budget.most, budget.unit)}`] : []),
    ...(report.methods.length > 0 ? [table] : []),
    ...report.impossible.map(({ method, reason }) => `${method}: ${reason}`),
    'As the paper counts: trainable / (base + frozen extra + trainable). Of the base: trainable / base.',
    'FLOPs: matrix products beyond the frozen base. Rank of the update: greatest at one token, in any module.',
    ...(budget
      ? [
          'Closest to the budget without exceeding it; of equals the most trainable parameters, then the highest rank of the update, then the simplest settings.',
        ]
      : []),
  ].join('\n');
}

function options(line: BudgetLine): string {
  const own = sizeOptions.filter((name) => line[name] !== undefined).map((name) => `${name} ${line[name]}`);
  return own.join(', ') || '–';
}

function targetsText({ targets }: BudgetLine): string {
  return targets.map((module) => module.replace('_proj', '')).join(' ');
}

function unused({ remainder = 0 }: BudgetLine, { unit }: Budget): string {
  if (unit === 'parameters') return formatCount(remainder);
  return unit === 'bytesF32' || unit === 'bytesBf16' ? formatBytes(remainder) : `${remainder.toFixed(6)} %`;
}
