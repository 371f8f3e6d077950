import type { Report } from '../report.ts';

/** A cell of a CSV file. */
type Value = string | number | boolean | null | undefined;

const header = [
  'table',
  'model',
  'subject',
  'method',
  'rank',
  'trainable',
  'percent_of_base',
  'benchmark',
  'measure',
  'value',
  'unit',
  'low_95',
  'high_95',
  'n',
  'ungraded',
  'training_seeds',
  'mark',
  'against',
  'p_adjusted',
  'p_value',
  'test',
  'letters',
  'best',
  'shots',
  'chat',
  'data',
  'data_sha256',
  'benchmark_version',
  'seed',
  'precision',
  'studio',
  'computation',
  'created',
  'remark',
] as const;
type Row = Partial<Record<(typeof header)[number], Value>>;

/**
 * A report as one table, a line a number, unrounded: shares between 0 and 1, losses in nats, times in seconds, memory
 * in bytes. `table` says what a line is of: table2, pair, cost, score (as it is stored), note.
 */
export function reportCsv(report: Report): string {
  const rows = [
    ...cellRows(report),
    ...pairRows(report),
    ...costRows(report),
    ...scoreRows(report),
    ...report.notes.map((remark): Row => ({ table: 'note', remark })),
    ...report.warnings.map((remark): Row => ({ table: 'warning', remark })),
    ...report.leftOut.map((remark): Row => ({ table: 'left_out', remark })),
  ];
  const { versions, createdAt } = report;
  const about = { studio: versions.studio, computation: versions.computation, created: createdAt };
  const lines = rows.map((row) => header.map((name) => csvCell({ ...about, ...row }[name])).join(','));
  return [header.join(','), ...lines, ''].join('\r\n');
}

/**
 * A value as a spreadsheet may read it (RFC 4180). A text that it would take for a formula gets an apostrophe before
 * it: names come from wherever people got them.
 */
export function csvCell(value: Value): string {
  if (value === null || value === undefined) return '';
  if (typeof value === 'number') return Number.isFinite(value) ? String(value) : '';
  if (typeof value === 'boolean') return String(value);
  const text = /^[=+\-@\t\r\n]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function cellRows({ groups, columns }: Report): Row[] {
  return groups.flatMap(({ model, baseline, subjects }) =>
    subjects.flatMap((subject) =>
      subject.cells.flatMap((cell, c): Row[] => {
        if (!cell) return [];
        const column = columns[c]!;
        const { against } = cell;
        return [
          {
            table: 'table2',
            model,
            ...subjectCells(subject),
            ...columnCells(column),
            value: cell.value,
            unit: column.unit === 'percent' ? 'share' : 'nats_per_token',
            low_95: cell.interval[0],
            high_95: cell.interval[1],
            n: cell.n,
            ungraded: cell.ungraded,
            training_seeds: cell.seeds.join(' '),
            mark: against?.mark,
            against: against ? baseline : null,
            p_adjusted: against?.pAdjusted,
            test: against?.test,
            letters: cell.letters.join(' '),
            best: cell.isAmongBest,
          },
        ];
      }),
    ),
  );
}

function subjectCells({
  name,
  label,
  rank,
  trainable,
  percent,
}: Report['groups'][number]['subjects'][number]): Row {
  return { subject: name, method: label, rank, trainable, percent_of_base: percent };
}

function columnCells({
  benchmark,
  measure,
  shots,
  isChat,
  data,
  dataHash,
  version,
  seed,
}: Report['columns'][number]): Row {
  return {
    benchmark,
    measure,
    shots,
    chat: isChat,
    data,
    data_sha256: dataHash,
    benchmark_version: version,
    seed,
  };
}

function pairRows({ groups, columns }: Report): Row[] {
  return groups.flatMap(({ model, pairs }) =>
    pairs.map(
      ({ column, a, b, difference, interval, n, pAdjusted, pValue, test, verdict, sentence }): Row => ({
        table: 'pair',
        model,
        subject: b,
        against: a,
        ...columnCells(columns[column]!),
        measure: 'difference',
        value: difference,
        unit: columns[column]!.unit === 'percent' ? 'share' : 'nats_per_token',
        low_95: interval[0],
        high_95: interval[1],
        n,
        p_adjusted: pAdjusted,
        p_value: pValue,
        test,
        mark: verdict,
        remark: sentence,
      }),
    ),
  );
}

function costRows({ groups, columns, timedColumn }: Report): Row[] {
  const timed = timedColumn === null ? {} : columnCells(columns[timedColumn]!);
  return groups.flatMap(({ model, subjects }) =>
    subjects.flatMap((subject) => {
      const { cost } = subject;
      const measured = [
        ['seconds_per_item', cost.secondsPerItem, 'seconds', timed],
        ['peak_memory_scoring', cost.peakBytes, 'bytes', timed],
        ['seconds_per_step_training', cost.trainingSecondsPerStep, 'seconds', {}],
        ['peak_memory_training', cost.trainingPeakBytes, 'bytes', {}],
        ['peak_card_memory_training', cost.trainingCardPeakBytes, 'bytes', {}],
      ] as const;
      const single = [
        ['extra_memory_scoring', cost.extraBytes, timed],
        ['numbers_beside_base', cost.numberBytes, {}],
      ] as const;
      const about = { table: 'cost', model, ...subjectCells(subject) };
      return [
        ...measured.flatMap(([measure, value, unit, of]): Row[] =>
          value === null
            ? []
            : [
                {
                  ...about,
                  ...of,
                  measure,
                  value: value.mean,
                  unit,
                  n: value.n,
                  remark:
                    value.n > 1 ? `from ${value.least} to ${value.most}` : 'one measurement, no interval',
                },
              ],
        ),
        ...single.flatMap(([measure, value, of]): Row[] =>
          value === null ? [] : [{ ...about, ...of, measure, value, unit: 'bytes' }],
        ),
      ];
    }),
  );
}

function scoreRows({ scores }: Report): Row[] {
  return scores.map((one) => ({
    table: 'score',
    model: one.model,
    subject: one.subject,
    benchmark: one.benchmark,
    measure: one.metric,
    value: one.score,
    unit: one.metric === 'accuracy' ? 'share' : 'perplexity',
    low_95: one.interval[0],
    high_95: one.interval[1],
    n: one.n,
    training_seeds: one.trainingSeed,
    shots: one.shots,
    chat: one.isChat,
    data: one.data,
    data_sha256: one.dataHash,
    benchmark_version: one.version,
    seed: one.seed,
    precision: one.precision,
    created: one.createdAt,
    remark: one.id,
  }));
}
