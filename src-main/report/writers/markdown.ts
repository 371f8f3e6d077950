import {
  basisText,
  cellText,
  columnHead,
  countText,
  markLegend,
  marks,
  methodText,
  percentText,
} from '../figures.ts';
import type { Report, ReportCell, ReportColumn, ReportGroup } from '../report.ts';
import {
  askedTable,
  costBasis,
  costTable,
  pairTable,
  scoreTable,
  versionsText,
  type TextTable,
} from './tables.ts';

/** A report as GitHub-flavored Markdown: its tables with what they rest on, and no picture. */
export function reportMarkdown(report: Report): string {
  const { title, question, createdAt, columns, groups } = report;
  const parts = [
    `# ${escaped(title)}`,
    ...(question === '' ? [] : [`*${escaped(question)}*`]),
    `Written ${createdAt.slice(0, 10)} by ID-LoRA Studio ${escaped(report.versions.studio)}.`,
    ...groups.flatMap((group) => groupParts(group, columns)),
    '## Time and memory',
    escaped(costBasis(report.timedColumn === null ? null : columns[report.timedColumn]!)),
    textTable(costTable(report)),
    '## What was asked',
    textTable(askedTable(columns, 64)),
    '## Every score as it is stored',
    textTable(scoreTable(report)),
    ...lines('## Warnings', report.warnings),
    ...lines('## How to read it', report.notes),
    ...lines('## Left out', report.leftOut),
    versionsText(report),
  ];
  return `${parts.join('\n\n')}\n`;
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

const textTable = ({ head, rows }: TextTable) => table(head, rows);

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
    ...(pairs.length === 0 ? [] : ['### All pairs', textTable(pairTable(group, columns))]),
  ];
}

function cellMarkdown(cell: ReportCell | null, column: ReportColumn): string {
  if (!cell) return '–';
  const mark = cell.against === null ? '' : marks[cell.against.mark];
  const text = escaped(cellText(column, cell));
  const letters = cell.letters.length > 0 ? ` ${escaped(cell.letters.join(' '))}` : '';
  return `${cell.isAmongBest ? `**${text}**` : text}${mark}${letters}<br>${escaped(basisText(cell))}`;
}

function lines(title: string, texts: readonly string[]): string[] {
  return texts.length === 0 ? [] : [title, texts.map((text) => `- ${escaped(text)}`).join('\n')];
}
