import { parse } from 'csv-parse/sync';
import { describe, expect, it } from 'vitest';
import type { Evaluation } from '../../src-main/contract/results.ts';
import { compareAll } from '../../src-main/evaluation/compare.ts';
import { chooseColumns } from '../../src-main/report/columns.ts';
import { costsOf, timedColumn } from '../../src-main/report/costs.ts';
import type { Report, ReportSubject } from '../../src-main/report/report.ts';
import { reportCsv } from '../../src-main/report/writers/csv.ts';
import { reportHtml } from '../../src-main/report/writers/html.ts';
import { reportMarkdown } from '../../src-main/report/writers/markdown.ts';
import { reportPicture } from '../../src-main/report/writers/picture.ts';
import { makeReport } from '../../src-main/services/evaluations/verdicts/report.ts';
import { openWritable } from '../../src-main/store/database.ts';
import { insertEvaluation, readEvaluationItems } from '../../src-main/store/results.ts';
import { annotateRun } from '../../src-main/store/runs.ts';
import { insertScoredRuns, scoredSettings } from '../support/evaluation/scoredRuns.ts';
import { sampleEvaluation, sampleItem, sampleKeys } from '../support/sampleEvaluation.ts';

const database = openWritable(':memory:');
const { runs, evaluations } = insertScoredRuns(database);
const stored = { database, project: 'default' };
const noModels = () => [];
const names = runs.map(({ name }) => name);
const report = await makeReport(stored, noModels, { subjects: names, against: null });
const [group] = report.groups;
const subject = (name: string, of: Report = report): ReportSubject =>
  of.groups.flatMap(({ subjects }) => subjects).find((one) => one.name === name)!;
const columnOf = (benchmark: string, measure?: string) =>
  report.columns.findIndex(
    (column) => column.benchmark === benchmark && (measure === undefined || column.measure === measure),
  );
const scoreOf = (id: string) => evaluations.find((one) => one.id === id)!;

type Row = Record<string, string>;
const rowsOf = (csv: string) => parse(csv, { columns: true, bom: false }) as Row[];

describe('a report of stored scores', () => {
  it('has a row a setting, the base first, and a column a number, in the order of the paper', () => {
    expect(report.groups).toHaveLength(1);
    expect(group!.subjects.map(({ name }) => name)).toEqual([
      'tiny (base)',
      'lora',
      'dora-seed-0',
      'idlora',
      'idlora-large-seed-0',
    ]);
    expect(report.columns.map(({ benchmark, measure }) => `${benchmark} ${measure}`)).toEqual([
      'gsm8k score',
      'commonsenseqa score',
      'humaneval pass@1',
      'humaneval pass@5',
      'humaneval pass@10',
      'perplexity loss',
    ]);
    expect(subject('idlora')).toMatchObject({ method: 'idlora', rank: 8, trainable: 24_576, seeds: [0, 1] });
  });

  it('has the stored score of a single run with its interval, items and seed', () => {
    for (const benchmark of ['gsm8k', 'commonsenseqa']) {
      const cell = subject('dora-seed-0').cells[columnOf(benchmark)]!;
      const { score, interval, n } = scoreOf(`${benchmark}-dora-seed-0`);
      expect(cell).toMatchObject({ n, ungraded: 0, seeds: [0] });
      expect(cell.value).toBeCloseTo(score, 12);
      expect(cell.interval[0]).toBeCloseTo(interval[0], 12);
      expect(cell.interval[1]).toBeCloseTo(interval[1], 12);
    }
    for (const { k, score } of scoreOf('humaneval-dora-seed-0').passAtK!)
      expect(subject('dora-seed-0').cells[columnOf('humaneval', `pass@${k}`)]!.value).toBeCloseTo(score!, 12);
  });

  it('takes seeds together: the mean of their scores, with an interval over seeds and items', () => {
    const cell = subject('lora').cells[columnOf('gsm8k')]!;
    const scores = [0, 1].map((seed) => scoreOf(`gsm8k-lora-seed-${seed}`).score);
    expect(cell.value).toBeCloseTo((scores[0]! + scores[1]!) / 2, 12);
    expect(cell.seeds).toEqual([0, 1]);
  });

  it('claims no certainty where all seeds have all items right', () => {
    const place = columnOf('humaneval', 'pass@10');
    const cell = subject('idlora').cells[place]!;
    expect(cell.value).toBe(1);
    expect(cell.interval[0]).toBeLessThan(0.95);
    expect(cell.interval[1]).toBe(1);
  });

  it('marks against LoRA by the paired test that a comparison makes, corrected over all columns', async () => {
    expect(group!.baseline).toBe('lora');
    // Five subjects have ten pairs in each of six columns.
    expect(group!.family).toBe(60);
    expect(subject('lora').cells[0]!.against).toBeNull();
    expect(subject('idlora').cells[columnOf('gsm8k')]!.against).toMatchObject({
      mark: 'better',
      test: 'student_seeds_items',
    });
    expect(subject('tiny (base)').cells[columnOf('gsm8k')]!.against!.mark).toBe('worse');
    // The same pair alone: the p value before correction is that of compare.
    const pair = group!.pairs.find(
      ({ a, b, column }) =>
        column === columnOf('gsm8k') && a.startsWith('idlora-large') && b.startsWith('dora'),
    )!;
    const graded = [];
    for (const name of ['idlora-large-seed-0', 'dora-seed-0'])
      graded.push({
        name,
        run: runs.find((run) => run.name === name)!,
        base: { modelId: 'model', name: 'tiny', hash: null },
        dataHash: 'data of gsm8k',
        items: await readEvaluationItems(database, `gsm8k-${name}`),
      });
    const [alone] = compareAll('gsm8k', 'test.jsonl', graded).comparisons;
    expect(pair).toMatchObject({
      test: 'mcnemar_exact',
      difference: alone!.difference,
      pValue: alone!.pValue,
    });
    expect(pair.pAdjusted).toBeGreaterThan(pair.pValue);
    expect(report.groups[0]!.sentences[columnOf('gsm8k')]).toMatch(/200 items/);
  });

  it('compares with whom it is told to', async () => {
    const other = await makeReport(stored, noModels, { subjects: names, against: 'dora-seed-0' });
    expect(other.groups[0]!.baseline).toBe('dora-seed-0');
    expect(subject('dora-seed-0', other).cells[0]!.against).toBeNull();
    expect(subject('idlora', other).cells[0]!.against!.mark).toBe('better');
    // One of the runs of a setting means the setting.
    const setting = await makeReport(stored, noModels, { subjects: names, against: 'idlora-seed-1' });
    expect(setting.groups[0]!.baseline).toBe('idlora');
    await expect(makeReport(stored, noModels, { subjects: names, against: 'who' })).rejects.toMatchObject({
      code: 'not_found',
      message: expect.stringContaining('"who"') as string,
    });
  });

  it('tells time and memory as they were measured, the base beside them', () => {
    const timed = report.columns[report.timedColumn!]!;
    expect(timed.benchmark).toBe('gsm8k');
    const { cost } = subject('dora-seed-0');
    expect(cost.secondsPerItem).toEqual({ mean: 4.5 / 200, least: 4.5 / 200, most: 4.5 / 200, n: 1 });
    expect(cost.extraBytes).toBe(40 * 52_224);
    expect(cost.numberBytes).toBe(4 * 52_224);
    expect(subject('idlora').cost.numberBytes).toBe(4 * (24_576 + 512));
    expect(subject('idlora').cost.trainingSecondsPerStep).toMatchObject({ least: 0.05, n: 2 });
    expect(subject('tiny (base)').cost.extraBytes).toBeNull();
  });

  it('takes the column that was measured for most subjects, of those the one with most items', () => {
    const score = (benchmark: string, n: number, isMeasured: boolean) =>
      sampleEvaluation({
        benchmark,
        n,
        measured: isMeasured ? { peakMemoryBytes: 1, seconds: 1 } : null,
      });
    const column = (key: string, scores: Evaluation[]) => ({ key, evaluations: scores });
    const one = column('a', [score('a', 500, true), score('a', 500, false)]);
    const two = column('b', [score('b', 10, true), score('b', 10, true)]);
    const more = column('c', [score('c', 20, true), score('c', 20, true)]);
    expect(timedColumn([one, two, more])).toBe(2);
    expect(timedColumn([two, one])).toBe(0);
    expect(timedColumn([column('d', [score('d', 5, false)])])).toBeNull();
    expect(costsOf([], [score('d', 5, false)], null)).toMatchObject({
      secondsPerItem: null,
      peakBytes: null,
    });
  });

  it('says of one seed that it is one', async () => {
    expect(report.notes.join('\n')).toMatch(
      /dora-seed-0, idlora-large-seed-0 each was trained with one seed \(n = 1\)/,
    );
    const single = await makeReport(stored, noModels, { subjects: ['dora-seed-0'], against: null });
    expect(single.notes[0]).toBe(
      'Each setting was trained with one seed (n = 1): its interval is of the items alone, and does not cover what another seed would change.',
    );
    for (const text of [
      reportHtml(single),
      reportMarkdown(single),
      reportCsv(single),
      reportPicture(single, 'light'),
    ])
      expect(text.replaceAll(/<\/text><text[^>]*>/g, ' ')).toContain('one seed (n = 1)');
    expect(reportMarkdown(single)).toContain('n = 200, 1 seed');
  });

  it('lets others work while it is found', async () => {
    const many = openWritable(':memory:');
    const settings = Array.from({ length: 12 }, (_, i) => ({
      ...scoredSettings[0]!,
      name: `setting-${i}`,
      rank: 4 + i,
      seeds: [0],
      skill: 0.4 + i / 50,
    }));
    const known = insertScoredRuns(many, settings).runs.map(({ id }) => id);
    let [turns, longest, last] = [0, 0, performance.now()];
    const timer = setInterval(() => {
      const now = performance.now();
      [turns, longest, last] = [turns + 1, Math.max(longest, now - last), now];
    }, 1);
    const begin = performance.now();
    const found = await makeReport({ database: many, project: 'default' }, noModels, {
      subjects: known,
      against: null,
    });
    const whole = performance.now() - begin;
    clearInterval(timer);
    expect(found.groups[0]!.pairs).toHaveLength(6 * ((13 * 12) / 2));
    // Nobody waits for all of it, however fast the machine is.
    expect(turns).toBeGreaterThan(10);
    expect(longest).toBeLessThan(whole / 3);
  });

  it('leaves out what was asked otherwise, and says so', async () => {
    const smaller = sampleEvaluation({
      id: 'smaller',
      runId: 'run-dora-0',
      subject: 'dora-seed-0',
      n: 1,
      dataHash: 'data of gsm8k',
      dataPath: '/data/gsm8k/test.jsonl',
      shots: 5,
    });
    const { columns, leftOut } = chooseColumns([smaller, ...evaluations]);
    expect(columns).toHaveLength(4);
    expect(leftOut).toEqual([smaller]);
    await expect(makeReport(stored, noModels, { subjects: ['nobody'], against: null })).rejects.toMatchObject(
      { code: 'not_found' },
    );
  });
});

describe('files of a report', () => {
  it('CSV holds every number unrounded, the stored scores too', () => {
    const rows = rowsOf(reportCsv(report));
    for (const { name, cells } of group!.subjects)
      cells.forEach((cell, c) => {
        const { benchmark, measure } = report.columns[c]!;
        const row = rows.find(
          (one) =>
            one['table'] === 'table2' &&
            one['subject'] === name &&
            one['benchmark'] === benchmark &&
            one['measure'] === measure,
        )!;
        expect([row['value'], row['low_95'], row['high_95'], row['n']].map(Number)).toEqual([
          cell!.value,
          ...cell!.interval,
          cell!.n,
        ]);
        expect(row['training_seeds']).toBe(cell!.seeds.join(' '));
        expect(row['benchmark_version']).toBe('1');
        expect(row['studio']).toMatch(/^\d+\.\d+\.\d+/);
      });
    const scores = rows.filter((row) => row['table'] === 'score');
    expect(scores).toHaveLength(evaluations.length);
    for (const row of scores) {
      const evaluation: Evaluation = scoreOf(row['remark']!);
      expect(Number(row['value'])).toBe(evaluation.score);
      expect([row['low_95'], row['high_95']].map(Number)).toEqual(evaluation.interval);
    }
    expect(rows.filter((row) => row['table'] === 'pair')).toHaveLength(60);
  });

  it('HTML stands alone, and its table has the same numbers', () => {
    const html = reportHtml(report);
    // No script, and no address but the name of SVG itself.
    expect(html).not.toMatch(/<script|javascript:|\son\w+=|<link|<iframe|<img|@import|url\(/i);
    expect(html.replaceAll('http://www.w3.org/2000/svg', '')).not.toMatch(/https?:|\/\/[a-z]/i);
    expect(html).toContain('prefers-color-scheme: dark');
    expect(html).toContain("default-src 'none'");
    const cells = tableAfter(html, '<h2>tiny');
    for (const { name, cells: own } of group!.subjects) {
      const row = cells.find(([head]) => head === name)!;
      own.forEach((cell, c) => {
        const shown = row[4 + c]!;
        const isShare = report.columns[c]!.unit === 'percent';
        expect(shown.startsWith(isShare ? (100 * cell!.value!).toFixed(1) : cell!.value!.toFixed(3))).toBe(
          true,
        );
        expect(shown).toContain(`n = ${cell!.n}`);
        expect(shown.includes('†')).toBe(cell!.against?.mark === 'better');
        expect(shown.includes('‡')).toBe(cell!.against?.mark === 'worse');
      });
    }
    // A chart of scores for every column, and one of time and memory.
    expect(html.match(/<svg /g)).toHaveLength(report.columns.length + 1);
    expect(html).toMatch(
      /aria-label="GSM8K, 5 shots, % of tiny over trainable parameters: [^"]*idlora [\d.]+ \([\d.]+ to [\d.]+\) with 24.6 k/,
    );
  });

  it('Markdown has the same table', () => {
    const lines = reportMarkdown(report).split('\n');
    const row = lines.find((line) => line.startsWith('| idlora |'))!.split(' | ');
    const cell = subject('idlora').cells[0]!;
    expect(row[4]).toContain(`${(100 * cell.value!).toFixed(1)} (`);
    expect(row[4]).toContain('†');
    const heads = lines.filter((line) => /^\|( --- \|)+$/.test(line));
    expect(heads.length).toBe(5);
    // All rows of a table have as many cells.
    for (const [i, line] of lines.entries())
      if (line.startsWith('|') && lines[i - 1]?.startsWith('|'))
        expect(cellsOf(line)).toBe(cellsOf(lines[i - 1]!));
  });

  it('the picture is whole SVG in light and dark', () => {
    for (const theme of ['light', 'dark'] as const) {
      const svg = reportPicture(report, theme);
      expect(unclosed(svg)).toEqual([]);
      expect(svg.replace('http://www.w3.org/2000/svg', '')).not.toMatch(/https?:|url\(/);
      expect(svg).toContain(`fill="${theme === 'light' ? '#ffffff' : '#17181b'}"`);
      expect(svg).toContain('idlora');
    }
  });
});

describe('hostile names', () => {
  const hostile = `=HYPERLINK("x")<script>alert(1)</script>|**b**[a](javascript:1) "'&`;
  const other = openWritable(':memory:');
  const [run] = insertScoredRuns(other, scoredSettings.slice(0, 2)).runs;
  annotateRun(other, run!.id, { name: hostile, notes: '', tags: [] });
  insertEvaluation(
    other,
    sampleEvaluation({
      id: 'hostile',
      runId: run!.id,
      subject: hostile,
      benchmark: 'contains',
      dataPath: '/data/@SUM(A1)|<img src=x onerror=y>.jsonl',
      n: 2,
      score: 0.5,
      sums: { kind: 'right', right: 1, ungraded: 0 },
    }),
    sampleKeys('hostile'),
    [sampleItem(0, { correct: true }), sampleItem(1, { correct: false })],
  );
  const made = makeReport({ database: other, project: 'default' }, noModels, {
    subjects: [run!.id, 'dora-seed-0'],
    against: null,
  });

  it('stay texts in HTML and SVG', async () => {
    const found = await made;
    for (const text of [reportHtml(found), reportPicture(found, 'dark')]) {
      expect(text).not.toMatch(/<script|<img/i);
      expect(text).toContain('&lt;script&gt;');
    }
    expect(unclosed(reportPicture(found, 'light'))).toEqual([]);
  });

  it('break no table in Markdown', async () => {
    const text = reportMarkdown(await made);
    expect(text).not.toMatch(/<script|<img/i);
    const lines = text.split('\n');
    const row = lines.find((line) => line.startsWith('| =HYPERLINK'))!;
    expect(row).toContain('\\|\\*\\*b\\*\\*\\[a\\](javascript:1)');
    expect(cellsOf(row)).toBe(cellsOf(lines[lines.indexOf(row) - 1]!));
  });

  it('are no formulas in a spreadsheet', async () => {
    const rows = rowsOf(reportCsv(await made));
    const values = rows.flatMap((row) => Object.values(row));
    expect(values.filter((value) => /^[=+@\t]/.test(value))).toEqual([]);
    expect(values.filter((value) => /^-/.test(value) && Number.isNaN(Number(value)))).toEqual([]);
    expect(values).toContain(`'${hostile}`);
    expect(values).toContain("'@SUM(A1)|<img src=x onerror=y>.jsonl");
  });
});

/** Cells of the first table behind a place, as texts. */
function tableAfter(html: string, mark: string): string[][] {
  const begin = html.indexOf(mark);
  const table = html.slice(html.indexOf('<tbody>', begin), html.indexOf('</tbody>', begin));
  return table
    .split('</tr>')
    .filter((row) => row.includes('<td'))
    .map((row) =>
      [...row.matchAll(/<t[hd][^>]*>(.*?)<\/t[hd]>/g)].map(([, cell]) => cell!.replaceAll(/<[^>]+>/g, '')),
    );
}

/** Cells of a line of a Markdown table: bars behind a backslash part none. */
function cellsOf(line: string): number {
  return line.replaceAll(/\\./g, '').split('|').length - 2;
}

/** Elements of an XML text that are not closed in their order. */
function unclosed(xml: string): string[] {
  const open: string[] = [];
  for (const [, end, name, alone] of xml.matchAll(/<(\/?)([a-z]+)[^<>]*?(\/?)>/gi))
    if (end === '/') {
      if (open.pop() !== name) return [`</${name}>`];
    } else if (alone !== '/') open.push(name!);
  return open;
}
