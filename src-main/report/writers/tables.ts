import {
  columnBasis,
  columnHead,
  columnName,
  countText,
  differenceText,
  measuredText,
  megabytes,
  milliseconds,
  pText,
} from '../figures.ts';
import type { Report, ReportColumn, ReportGroup } from '../report.ts';

/** A table of plain texts, which each form of a report sets in its own way. */
export interface TextTable {
  label: string;
  head: readonly string[];
  rows: readonly (readonly string[])[];
}

/** @param hashDigits of the data's hash that are shown */
export function askedTable(columns: readonly ReportColumn[], hashDigits: number): TextTable {
  return {
    label: 'What was asked',
    head: ['Column', 'Items', 'Data', 'Shots', 'Asked as', 'Version', 'Seed', 'SHA-256 of the data'],
    rows: columns.map((column) => [
      columnHead(column),
      countText(column.n),
      column.data,
      String(column.shots),
      column.isChat ? 'conversation' : 'text',
      column.version,
      String(column.seed),
      column.dataHash.slice(0, hashDigits),
    ]),
  };
}

export function scoreTable({ scores }: Report): TextTable {
  return {
    label: 'Every score as it is stored',
    head: [
      'Subject',
      'Model',
      'Benchmark',
      'Score (95 %)',
      'n',
      'Seed of training',
      'Precision',
      'Version',
      'When',
    ],
    rows: scores.map((one) => [
      one.subject,
      one.model,
      `${one.benchmark}, ${one.shots} shots${one.isChat ? ', conversation' : ''}`,
      storedText(one),
      countText(one.n),
      one.trainingSeed === null ? '–' : String(one.trainingSeed),
      one.precision,
      one.version,
      one.createdAt.slice(0, 19),
    ]),
  };
}

export function pairTable({ pairs }: ReportGroup, columns: readonly ReportColumn[]): TextTable {
  return {
    label: 'All pairs',
    head: ['Column', 'Pair', 'Difference (95 %)', 'p, Holm', 'Test', 'n', 'Verdict', 'What else differs'],
    rows: pairs.map((pair) => {
      const column = columns[pair.column]!;
      const [low, high] = pair.interval.map((bound) => differenceText(column, bound));
      return [
        columnHead(column),
        `${pair.b} against ${pair.a}`,
        `${differenceText(column, pair.difference)} (${low} to ${high})`,
        pText(pair.pAdjusted),
        pair.test.replaceAll('_', ' '),
        countText(pair.n),
        pair.verdict === 'cannot_tell' ? 'cannot tell' : pair.verdict === 'b_better' ? 'better' : 'worse',
        pair.confounders.join('; ') || '–',
      ];
    }),
  };
}

export function costTable({ groups }: Report): TextTable {
  // A process's memory on the machine says nothing of what it had on a card.
  const onCards = groups.some(({ subjects }) => subjects.some(({ cost }) => cost.trainingCardPeakBytes));
  return {
    label: 'Time and memory',
    head: [
      'Subject',
      'Time an item, ms',
      'Peak memory, MB',
      'Beyond the base, MB',
      'Numbers beside the base, MB',
      'Training: time a step, ms',
      'Training: peak memory, MB',
      ...(onCards ? ['Training: peak on the card, MB'] : []),
      'Measurements',
    ],
    rows: groups.flatMap(({ subjects }) =>
      subjects.map(({ name, cost }) => [
        name,
        measuredText(cost.secondsPerItem, milliseconds),
        measuredText(cost.peakBytes, megabytes),
        cost.extraBytes === null ? '–' : megabytes(cost.extraBytes),
        cost.numberBytes === null ? '–' : megabytes(cost.numberBytes),
        measuredText(cost.trainingSecondsPerStep, milliseconds),
        measuredText(cost.trainingPeakBytes, megabytes),
        ...(onCards ? [measuredText(cost.trainingCardPeakBytes, megabytes)] : []),
        String(cost.secondsPerItem?.n ?? cost.trainingPeakBytes?.n ?? 0),
      ]),
    ),
  };
}

/** What times and memory were measured by. */
export function costBasis(timed: ReportColumn | null): string {
  const scoring =
    timed === null
      ? 'No scoring was measured from its begin to its end.'
      : `Time and memory of scoring ${columnName(timed)} (${columnBasis(timed)}), start of the engine included, adapters beside the base model and not merged into it.`;
  const peaks =
    'Peak memory is the greatest resident memory of the engine’s process on the machine; on the card, the greatest that was seen to be in use, with what TensorFlow keeps there without needing it.';
  return `${scoring} ${peaks} Measured on this machine with whatever else it did: one measurement has no interval; of several the mean stands, with their range in brackets.`;
}

/** A stored score with its unit. */
export function storedText({
  metric,
  score,
  interval: [low, high],
}: Pick<Report['scores'][number], 'metric' | 'score' | 'interval'>): string {
  const show = (value: number) =>
    metric === 'accuracy' ? (100 * value).toFixed(1) : value > 1e9 ? 'any' : value.toPrecision(4);
  return metric === 'accuracy'
    ? `${show(score)} % (${show(low)} to ${show(high)})`
    : `perplexity ${show(score)} (${show(low)} to ${show(high)})`;
}

export function versionsText({ versions, createdAt }: Report): string {
  const { studio, computation, tensorflow, node, devices } = versions;
  return [
    `ID-LoRA Studio ${studio}, computation ${computation}`,
    ...(tensorflow.length > 0 ? [`TensorFlow ${tensorflow.join(', ')}`] : []),
    ...(node.length > 0 ? [`Node ${node.join(', ')}`] : []),
    ...(devices.length > 0 ? [`trained on ${devices.join('; ')}`] : []),
    `written ${createdAt}`,
  ].join('; ');
}
