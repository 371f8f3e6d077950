import {
  basisText,
  cellText,
  columnHead,
  countText,
  markLegend,
  marks,
  methodText,
  percentText,
  pText,
} from '../figures.ts';
import type { Report, ReportCell, ReportColumn, ReportGroup } from '../report.ts';
import { costChart, parityChart, svgElement, type Paint } from './charts.ts';
import {
  askedTable,
  costBasis,
  costTable,
  pairTable,
  scoreTable,
  versionsText,
  type TextTable,
} from './tables.ts';
import { escapedXml } from './xml.ts';

/** Colors of the page follow the reader's theme. */
const paint: Paint = {
  text: 'var(--text)',
  soft: 'var(--soft)',
  line: 'var(--line)',
  surface: 'var(--surface)',
  full: 'var(--text)',
};

const style = `
:root { color-scheme: light dark; --text: #1a1b1e; --soft: #5b5e68; --line: #e2e2e6; --surface: #ffffff; }
@media (prefers-color-scheme: dark) { :root { --text: #ececef; --soft: #a3a6b0; --line: #35363c; --surface: #17181b; } }
body { margin: 0 auto; padding: 24px; max-width: 1180px; background: var(--surface); color: var(--text);
  font: 14px/1.5 system-ui, sans-serif; }
h1 { font-size: 22px; margin: 0; } h2 { font-size: 17px; margin: 32px 0 8px; } h3 { font-size: 14px; margin: 20px 0 4px; }
details { margin-top: 16px; } summary { cursor: pointer; }
p, li { max-width: 100ch; overflow-wrap: anywhere; } .soft { color: var(--soft); }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 5px 12px 5px 0; white-space: nowrap; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
td.number, th.number { text-align: right; } td small { display: block; color: var(--soft); } td:last-child { white-space: normal; }
thead th { color: var(--soft); font-weight: 500; vertical-align: bottom; }
caption { text-align: left; color: var(--soft); padding-bottom: 4px; }
.figures { display: flex; flex-wrap: wrap; gap: 16px; } figure { margin: 0; } svg { max-width: 100%; height: auto; }
svg text { font-family: system-ui, sans-serif; }
@media print { body { max-width: none; padding: 0; } }
`;

/**
 * A report as one page that stands alone: no script, nothing from elsewhere (its policy forbids both), light or dark as
 * the reader has it.
 */
export function reportHtml(report: Report): string {
  const { title, question, createdAt, versions, columns, groups } = report;
  const text = escapedXml;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${text(title)}</title>
<style>${style}</style>
</head>
<body>
<h1>${text(title)}</h1>
${question === '' ? '' : `<p>${text(question)}</p>`}
<p class="soft">Written ${text(createdAt.slice(0, 10))} by ID-LoRA Studio ${text(versions.studio)}.</p>
${groups.map((group) => groupSection(report, group)).join('\n')}
<h2>Time and memory</h2>
<p>${text(costBasis(report.timedColumn === null ? null : columns[report.timedColumn]!))}</p>
${textTable(costTable(report))}
<h2>What was asked</h2>
${textTable(askedTable(columns, 16))}
<h2>Every score as it is stored</h2>
${textTable(scoreTable(report))}
${list('Warnings', report.warnings)}
${list('How to read it', report.notes)}
${list('Left out', report.leftOut)}
<p class="soft">${text(versionsText(report))}.</p>
</body>
</html>
`;
}

/** A table that scrolls to the side, by the keyboard, too. @param rows cells as HTML */
function table(label: string, head: readonly string[], rows: readonly (readonly string[])[]): string {
  const numbers = head.map((_, c) => rows.every((row) => /^[\d,.–]+$/.test(row[c]!)));
  const cell = (content: string, c: number) =>
    c === 0 ? `<th scope="row">${content}</th>` : `<td${numbers[c] ? ' class="number"' : ''}>${content}</td>`;
  return `<div class="wide" role="group" tabindex="0" aria-label="${escapedXml(label)}"><table><thead><tr>${head
    .map((name, c) => `<th scope="col"${numbers[c] ? ' class="number"' : ''}>${escapedXml(name)}</th>`)
    .join(
      '',
    )}</tr></thead><tbody>${rows.map((row) => `<tr>${row.map(cell).join('')}</tr>`).join('')}</tbody></table></div>`;
}

const textTable = ({ label, head, rows }: TextTable) =>
  table(
    label,
    head,
    rows.map((row) => row.map(escapedXml)),
  );

function groupSection(report: Report, group: ReportGroup): string {
  const { columns } = report;
  const { model, modelParameters, subjects, sentences, baseline, family } = group;
  const size =
    modelParameters === null ? '' : ` <span class="soft">${countText(modelParameters)} parameters</span>`;
  const parity = columns.flatMap((column, c) => {
    const drawing = parityChart(column, c, group, paint);
    return drawing ? [`<figure>${svgElement(drawing)}</figure>`] : [];
  });
  const cost = costChart(report, group, paint);
  return `<h2>${escapedXml(model)}${size}</h2>
${sentences.map((sentence, c) => (sentence === null ? '' : `<p><strong>${escapedXml(columnHead(columns[c]!))}</strong>: ${escapedXml(sentence)}</p>`)).join('\n')}
${table(
  `Scores of ${model}`,
  ['Subject', 'Method', 'Trainable', '# Params (%)', ...columns.map(columnHead)],
  subjects.map((subject) => [
    escapedXml(subject.name),
    escapedXml(methodText(subject)),
    subject.trainable === null ? '–' : countText(subject.trainable),
    percentText(subject.percent),
    ...subject.cells.map((cell, c) => cellHtml(cell, columns[c]!)),
  ]),
)}
<p class="soft">${escapedXml(markLegend(baseline, family))}</p>
${
  parity.length === 0
    ? ''
    : `<h3>Score against trainable parameters</h3>
<p class="soft">With 95 % intervals, parameters on a logarithmic axis; points of one method are joined. What trained nothing is a dashed line. Each number stands in the table.</p>
<div class="figures">${parity.join('')}</div>`
}
${cost ? `<h3>Time and extra memory</h3>\n<figure>${svgElement(cost)}</figure>` : ''}
${pairDetails(group, columns)}`;
}

function cellHtml(cell: ReportCell | null, column: ReportColumn): string {
  if (!cell) return '–';
  const value = escapedXml(cellText(column, cell));
  const mark = cell.against === null ? '' : marks[cell.against.mark];
  const p =
    cell.against === null
      ? ''
      : `, p ${cell.against.pAdjusted < 0.001 ? '' : '= '}${pText(cell.against.pAdjusted)}`;
  const letters = cell.letters.length > 0 ? ` <sup>${escapedXml(cell.letters.join(' '))}</sup>` : '';
  return `${cell.isAmongBest ? `<strong>${value}</strong>` : value}${mark}${letters}<small>${escapedXml(basisText(cell) + p)}</small>`;
}

function pairDetails(group: ReportGroup, columns: readonly ReportColumn[]): string {
  const { length } = group.pairs;
  if (length === 0) return '';
  return `<details><summary>All ${length} ${length === 1 ? 'pair' : 'pairs'}</summary>\n${textTable(pairTable(group, columns))}\n</details>`;
}

function list(title: string, texts: readonly string[]): string {
  if (texts.length === 0) return '';
  return `<h2>${title}</h2>\n<ul>${texts.map((text) => `<li>${escapedXml(text)}</li>`).join('')}</ul>`;
}
