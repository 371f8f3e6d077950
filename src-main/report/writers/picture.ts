import { cellText, columnHead, countText, markLegend, marks, methodText, percentText } from '../figures.ts';
import type { Report, ReportGroup } from '../report.ts';
import { costChart, parityChart, shortened, svgText, type Drawing, type Paint } from './charts.ts';
import { versionsText } from './tables.ts';
import { escapedXml } from './xml.ts';

export const paints: Readonly<Record<'light' | 'dark', Paint>> = {
  light: { text: '#1a1b1e', soft: '#5b5e68', line: '#e2e2e6', surface: '#ffffff', full: '#000000' },
  dark: { text: '#ececef', soft: '#a3a6b0', line: '#35363c', surface: '#17181b', full: '#ffffff' },
};

const margin = 24;
/** Pixels of a letter, about: SVG breaks no lines. */
const letterWidth = 6.2;

/** A report as one picture: table, scores over parameters, time and memory. What draws bitmaps makes PNG of it. */
export function reportPicture(report: Report, theme: 'light' | 'dark'): string {
  const paint = paints[theme];
  const width = Math.max(1040, 2 * margin + tableColumns(report).reduce((sum, column) => sum + column, 0));
  const parts: string[] = [];
  let y = margin + 16;
  const put = (text: string, rest: Partial<Parameters<typeof svgText>[1]> = {}, height = 18) => {
    parts.push(svgText(text, { x: margin, y, fill: paint.text, ...rest }));
    y += height;
  };
  const paragraph = (text: string, fill: string) => {
    for (const one of broken(text, (width - 2 * margin) / letterWidth)) put(one, { fill }, 16);
  };
  put(report.title, { size: 18, weight: 600 }, 24);
  if (report.question !== '') paragraph(report.question, paint.text);
  for (const group of report.groups) {
    y += 16;
    put(
      `${group.model}${group.modelParameters === null ? '' : `, ${countText(group.modelParameters)} parameters`}`,
      {
        size: 14,
        weight: 600,
      },
    );
    group.sentences.forEach((sentence, c) => {
      if (sentence !== null) paragraph(`${columnHead(report.columns[c]!)}: ${sentence}`, paint.text);
    });
    y += 8;
    parts.push(tableBody(report, group, y, paint));
    y += 24 * (group.subjects.length + 1) + 12;
    paragraph(markLegend(group.baseline, group.family), paint.soft);
    y += 4;
    const figures = report.columns.flatMap((column, c) => parityChart(column, c, group, paint) ?? []);
    const cost = costChart(report, group, paint);
    y = placed([...figures, ...(cost ? [cost] : [])], y, width, parts);
  }
  y += 8;
  for (const note of [...report.warnings, ...report.notes]) paragraph(note, paint.soft);
  paragraph(versionsText(report), paint.soft);
  const height = Math.ceil(y + margin - 8);
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="system-ui, sans-serif" role="img" aria-label="${escapedXml(report.title)}"><rect width="100%" height="100%" fill="${paint.surface}"/>${parts.join('')}</svg>\n`;
}

/** Widths of the table's columns. */
function tableColumns({ columns, groups }: Report): number[] {
  const subjects = groups.flatMap((group) => group.subjects);
  const widest = (texts: readonly string[], least: number) =>
    texts.reduce((most, text) => Math.max(most, 1.1 * letterWidth * text.length + 16), least);
  return [
    widest(
      subjects.map(({ name }) => shortened(name, 32)),
      120,
    ),
    widest(subjects.map(methodText), 100),
    90,
    ...columns.map((column, c) =>
      widest(
        [
          columnHead(column),
          ...subjects.flatMap(({ cells }) => {
            const cell = cells[c];
            return cell ? [`${cellText(column, cell)}† ${cell.letters.join(' ')}`] : [];
          }),
        ],
        110,
      ),
    ),
  ];
}

function tableBody(report: Report, { subjects }: ReportGroup, top: number, paint: Paint): string {
  const widths = tableColumns(report);
  const starts = widths.map((_, c) => margin + widths.slice(0, c).reduce((sum, width) => sum + width, 0));
  const cells = (texts: readonly string[], y: number, fill: string, bold: readonly boolean[] = []) =>
    texts
      .map((text, c) => svgText(text, { x: starts[c]!, y, fill, ...(bold[c] && { weight: 700 }) }))
      .join('');
  const total = widths.reduce((sum, width) => sum + width, 0);
  const rule = (y: number) =>
    `<line x1="${margin}" y1="${y}" x2="${margin + total}" y2="${y}" stroke="${paint.line}"/>`;
  const head = cells(
    ['Subject', 'Method', '# Params', ...report.columns.map(columnHead)],
    top + 12,
    paint.soft,
  );
  const rows = subjects.map((subject, s) => {
    const y = top + 24 * (s + 1);
    const texts = subject.cells.map((cell, c) =>
      cell
        ? `${cellText(report.columns[c]!, cell)}${cell.against ? marks[cell.against.mark] : ''} ${cell.letters.join(' ')}`
        : '–',
    );
    const bold = subject.cells.map((cell) => cell?.isAmongBest === true);
    const about = [shortened(subject.name, 32), methodText(subject), percentText(subject.percent)];
    return rule(y - 6) + cells([...about, ...texts], y + 11, paint.text, [false, false, false, ...bold]);
  });
  return head + rows.join('');
}

/** Puts drawings side by side, as many as there is room for. @returns where what follows begins */
function placed(drawings: readonly Drawing[], top: number, width: number, parts: string[]): number {
  let [x, y, tallest] = [margin, top, 0];
  for (const drawing of drawings) {
    if (x > margin && x + drawing.width > width - margin) {
      y += tallest + 12;
      [x, tallest] = [margin, 0];
    }
    parts.push(`<g transform="translate(${x} ${y})">${drawing.body}</g>`);
    x += drawing.width + 16;
    tallest = Math.max(tallest, drawing.height);
  }
  return y + tallest;
}

/** Lines of at most so many letters; a longer word stands alone. */
function broken(text: string, most: number): string[] {
  const lines = [''];
  for (const word of text.split(/\s+/)) {
    const last = lines.at(-1)!;
    if (last === '') lines[lines.length - 1] = word;
    else if (last.length + 1 + word.length <= most) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}
