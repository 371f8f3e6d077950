import {
  basisText,
  cellText,
  columnBasis,
  columnHead,
  columnName,
  countText,
  markLegend,
  marks,
  measuredText,
  megabytes,
  methodText,
  milliseconds,
  percentText,
  pText,
  differenceText,
} from '../figures.ts';
import type { Report, ReportCell, ReportColumn, ReportGroup } from '../report.ts';

/** A report as GitHub-flavored Markdown: its tables with what they rest on, and no picture. */
export function reportMarkdown(report: Report): string {
  const { title, question, createdAt, columns, groups } = report;
  const parts = [
    `# ${escaped(title)}`,
    ...(question === '' ? [] : [`*${escaped(question)}*`]),
    `Written ${createdAt.slice(0, 10)} by ID-LoRA Studio ${escaped(report.versions.studio)}.`,
    ...groups.flatMap((group) => groupParts(group, columns)),
    '## Time and memory',
    ...costParts(report),
    '## What was asked',
    table(
      ['Column', 'Items', 'Data', 'Shots', 'Asked as', 'Version', 'Seed', 'SHA-256 of the data'],
      columns.map((column) => [
        columnHead(column),
        countText(column.n),
        column.data,
        String(column.shots),
        column.isChat ? 'conversation' : 'text',
        column.version,
        String(column.seed),
        column.dataHash,
      ]),
    ),
    '## Every score as it is stored',
    table(
      [
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
      report.scores.map((one) => [
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
    ),
    ...lines('## Warnings', report.warnings),
    ...lines('## How to read it', report.notes),
    ...lines('## Left out', report.leftOut),
    versionsText(report),
  ];
  return `${parts.join('\n\n')}\n`;
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

/** Text that Markdown takes as it stands, in a table, too. */
export function escaped(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll(/[\\`*_[\]|~#!]/g, (sign) => `\\${sign}`)
    .replaceAll(/\s+/g, ' ');
}

/** @param cells texts; what is Markdown already is marked as such */
function table(
  head: readonly string[],
  rows: readonly (readonly (string | { markdown: string })[])[],
): string {
  const line = (cells: readonly (string | { markdown: string })[]) =>
    `| ${cells.map((cell) => (typeof cell === 'string' ? escaped(cell) : cell.markdown)).join(' | ')} |`;
  return [line(head), `|${head.map(() => ' --- ').join('|')}|`, ...rows.map(line)].join('\n');
}

function groupParts(group: ReportGroup, columns: readonly ReportColumn[]): string[] {
  const { model, modelParameters, subjects, sentences, baseline, family, pairs } = group;
  const size = modelParameters === null ? '' : ` (${countText(modelParameters)} parameters)`;
  return [
    `## ${escaped(model)}${size}`,
    ...sentences.flatMap((sentence, c) =>
      sentence === null ? [] : [`**${escaped(columnHead(columns[c]!))}**: ${escaped(sentence)}`],
    ),
    table(
      ['Subject', 'Method', 'Trainable', '# Params (%)', ...columns.map(columnHead)],
      subjects.map((subject) => [
        subject.name,
        methodText(subject),
        subject.trainable === null ? '–' : countText(subject.trainable),
        percentText(subject.percent),
        ...subject.cells.map((cell, c) => ({ markdown: cellMarkdown(cell, columns[c]!) })),
      ]),
    ),
    escaped(markLegend(baseline, family)),
    ...(pairs.length === 0
      ? []
      : [
          '### All pairs',
          table(
            ['Column', 'Pair', 'Difference (95 %)', 'p, Holm', 'Test', 'n', 'Verdict', 'What else differs'],
            pairs.map((pair) => {
              const column = columns[pair.column]!;
              const [low, high] = pair.interval.map((bound) => differenceText(column, bound));
              return [
                columnHead(column),
                `${pair.b} against ${pair.a}`,
                `${differenceText(column, pair.difference)} (${low} to ${high})`,
                pText(pair.pAdjusted),
                pair.test.replaceAll('_', ' '),
                countText(pair.n),
                pair.verdict === 'cannot_tell'
                  ? 'cannot tell'
                  : pair.verdict === 'b_better'
                    ? 'better'
                    : 'worse',
                pair.confounders.join('; ') || '–',
              ];
            }),
          ),
        ]),
  ];
}

function cellMarkdown(cell: ReportCell | null, column: ReportColumn): string {
  if (!cell) return '–';
  const mark = cell.against === null ? '' : marks[cell.against.mark];
  const text = escaped(cellText(column, cell));
  const letters = cell.letters.length > 0 ? ` ${escaped(cell.letters.join(' '))}` : '';
  return `${cell.isAmongBest ? `**${text}**` : text}${mark}${letters}<br>${escaped(basisText(cell))}`;
}

function costParts({ groups, columns, timedColumn }: Report): string[] {
  const timed = timedColumn === null ? null : columns[timedColumn]!;
  return [
    escaped(costBasis(timed)),
    table(
      [
        'Subject',
        'Time an item, ms',
        'Peak memory, MB',
        'Beyond the base, MB',
        'Numbers beside the base, MB',
        'Training: time a step, ms',
        'Training: peak memory, MB',
        'Measurements',
      ],
      groups.flatMap(({ subjects }) =>
        subjects.map(({ name, cost }) => [
          name,
          measuredText(cost.secondsPerItem, milliseconds),
          measuredText(cost.peakBytes, megabytes),
          cost.extraBytes === null ? '–' : megabytes(cost.extraBytes),
          cost.numberBytes === null ? '–' : megabytes(cost.numberBytes),
          measuredText(cost.trainingSecondsPerStep, milliseconds),
          measuredText(cost.trainingPeakBytes, megabytes),
          String(cost.secondsPerItem?.n ?? cost.trainingPeakBytes?.n ?? 0),
        ]),
      ),
    ),
  ];
}

/** What times and memory were measured by. */
export function costBasis(timed: ReportColumn | null): string {
  const scoring =
    timed === null
      ? 'No scoring was measured from its begin to its end.'
      : `Time and memory of scoring ${columnName(timed)} (${columnBasis(timed)}), start of the engine included, adapters beside the base model and not merged into it.`;
  return `${scoring} Measured on this machine with whatever else it did: one measurement has no interval; of several the mean stands, with their range in brackets.`;
}

function lines(title: string, texts: readonly string[]): string[] {
  return texts.length === 0 ? [] : [title, texts.map((text) => `- ${escaped(text)}`).join('\n')];
}
