import type { EvaluationItem } from '../../contract/results.ts';
import { StudioError } from '../../contract/errors.ts';
import { evaluationBatch as batch } from '../../budget/forecast/evaluation.ts';
import { rowKey, type RowKey } from '../../data/rowKeys.ts';
import type { BenchmarkItem, BenchmarkRecord, RowBenchmark } from '../../evaluation/benchmarks/benchmark.ts';
import { choiceCalls } from '../../options/choiceRows.ts';
import type { ScoringCalls } from '../../options/scoredLengths.ts';
import { itemSums } from '../../statistics/scores.ts';
import type { Sandbox } from '../../evaluation/sandbox/sandbox.ts';
import type { ServiceContext } from '../context.ts';
import type { EvaluationData } from './evaluationData.ts';
import { chooseAnswers, chosenParts, generateAnswers, longestText, readsByLength } from './itemAnswers.ts';
import {
  longestOf,
  type EvaluationSettings,
  type Outcome,
  type PreparedEvaluation,
  type RunOptions,
} from './evaluationJobs.ts';
import { gradePrograms, notRunYet } from './programs.ts';
import { judgeItems, notJudgedYet, type LocalJudge } from './verdicts/localJudge.ts';
import {
  promptWindows,
  sentPrompts,
  withExamples,
  type Asking,
  type PromptWindow,
  type SentPrompts,
} from './prompts.ts';
import { chatRendering, type Subject } from './subjects.ts';
import { withTokenizerThread } from '../tokenizer/tokenizerThread.ts';

/** What a benchmark asks of whom. */
export interface AskedBenchmark {
  subject: Subject;
  benchmark: RowBenchmark;
  data: EvaluationData;
  settings: EvaluationSettings;
  /** Items from which solved examples are taken (`examplePool`). */
  pool: readonly BenchmarkItem[] | null;
  /** Items that were graded before, by their places. */
  known: ReadonlyMap<number, EvaluationItem>;
  /** Who judges the answers; null: the benchmark grades them itself. */
  judge: LocalJudge | null;
  /** For benchmarks that run programs. @throws StudioError consent_missing, sandbox_missing */
  sandbox(signal: AbortSignal): Promise<Sandbox>;
}

/** The prompt of the first item is kept with the score, up to so many characters. */
const keptPrompt = 8000;

/**
 * Reads and tokenizes a benchmark's items for a subject.
 * @param signal aborting ends it at once
 * @throws StudioError dataset_invalid with the row; dataset_empty; usage where there are too few solved examples
 */
export async function prepareItems(
  context: ServiceContext,
  { subject, benchmark, data, settings, pool, known, judge, sandbox }: AskedBenchmark,
  signal: AbortSignal,
): Promise<PreparedEvaluation> {
  const { engine, database } = context;
  const { items, rowKeys } = await readItems(benchmark, data, settings.limit);
  const asked = withExamples(items, pool, benchmark, settings);
  const pending = asked.filter(({ index }) => !known.has(index));
  const { contextLength } = subject.model;
  const rendering = settings.chat
    ? chatRendering(
        { database },
        subject.run,
        settings.system === undefined ? {} : { system: settings.system },
      )
    : null;
  const asking: Asking = { owner: subject.model, benchmark, rendering };
  const maxTokens =
    benchmark.kind === 'choice' ? 0 : Math.min(settings.maxTokens, Math.max(1, contextLength - 1));
  const fit = (sent: SentPrompts): SentPrompts =>
    benchmark.kind === 'choice' ? sent : fitPrompts(sent, { contextLength, maxTokens });
  const limits = { batch, context: contextLength, isUniform: readsByLength(subject.model) };
  const most = longestText(subject.model);
  const read = await withTokenizerThread(signal, async (thread) => {
    // The first one is shown with the score, also where all are known.
    const { first, template } = await sentPrompts(thread, [asked[0]!], asking);
    const scoring: ScoringCalls[] = [];
    let [rowTokens, cut, windows] = [1, 0, 0];
    // What one part holds stays, to be sent; of more of them each is made anew when its turn comes.
    let only: SentPrompts | null = null;
    for await (const { sent } of promptWindows(thread, pending, asking, context.heldTokens)) {
      const fitted = fit(sent);
      only = windows++ === 0 ? fitted : null;
      rowTokens = Math.max(rowTokens, longestOf(fitted.ids));
      if (benchmark.kind === 'choice')
        for (const calls of choiceCalls(chosenParts(sent, subject.model), limits)) scoring.push(calls);
      cut += sent.ids.filter((ids, i) =>
        benchmark.kind === 'choice'
          ? ids.length + longestOf(sent.choices[i]!) > most
          : ids.length > fitted.ids[i]!.length,
      ).length;
    }
    return { first, template, scoring, rowTokens, cut, only };
  });

  /** Asks all that is not known, a part after the other. */
  async function answer(options: RunOptions): Promise<Pick<Outcome, 'items' | 'peakMemoryBytes'>> {
    const done = { items: [] as EvaluationItem[], peakMemoryBytes: 0 };
    const take = async ({ from, sent }: PromptWindow) => {
      const some = pending.slice(from, from + sent.ids.length);
      const job = { engine, subject, settings, pending: some, sent, maxTokens };
      const part =
        benchmark.kind === 'choice'
          ? await chooseAnswers(job, benchmark, options)
          : await generateAnswers(job, benchmark, options);
      for (const item of part.items) done.items.push(item);
      done.peakMemoryBytes = Math.max(done.peakMemoryBytes, part.peakMemoryBytes);
    };
    if (pending.length === 0) return done;
    if (read.only) await take({ from: 0, sent: read.only });
    else
      await withTokenizerThread(options.signal, async (thread) => {
        for await (const { from, sent } of promptWindows(thread, pending, asking, context.heldTokens))
          await take({ from, sent: fit(sent) });
      });
    return done;
  }

  return {
    items: items.length,
    pending: pending.length,
    rowTokens: Math.min(contextLength, read.rowTokens),
    maxTokens,
    scoring: benchmark.kind === 'choice' ? read.scoring : null,
    rowKeys,
    prompts: {
      chat: read.template !== null,
      template: read.template?.name ?? null,
      system: read.template === null ? null : (rendering?.template.system ?? null),
      first: read.first.length > keptPrompt ? `${read.first.slice(0, keptPrompt)}…` : read.first,
      cut: read.cut,
    },
    async run(options) {
      // Before an hour of work it is found out whether its programs can be run.
      const place = benchmark.runsCode ? await sandbox(options.signal) : null;
      const done = await answer(options);
      const graded = new Map(known);
      for (const item of done.items) graded.set(item.index, item);
      if (place && benchmark.kind === 'generate') {
        const unrun = asked.flatMap((one) => {
          const item = graded.get(one.index)!;
          return item.remark === notRunYet ? [{ asked: one, item }] : [];
        });
        const run = { signal: options.signal, onItems: options.onItems ?? (() => undefined) };
        for (const item of await gradePrograms(place, benchmark, unrun, run)) graded.set(item.index, item);
      }
      if (judge && benchmark.kind === 'generate' && benchmark.judged) {
        const unjudged = asked.flatMap((one) => {
          const item = graded.get(one.index)!;
          return item.remark === notJudgedYet ? [{ asked: one, item }] : [];
        });
        const work = { signal: options.signal, onItems: options.onItems ?? (() => undefined) };
        const question = benchmark.judged;
        for (const item of await judgeItems(context, { judge, question }, unjudged, work))
          graded.set(item.index, item);
      }
      const all = asked.map(({ index }) => graded.get(index)!);
      return {
        items: all,
        sums: itemSums(all),
        peakMemoryBytes: done.peakMemoryBytes,
        sandbox: place?.description ?? null,
      };
    },
  };
}

async function readItems(
  benchmark: RowBenchmark,
  data: EvaluationData,
  limit: number | null,
): Promise<{ items: BenchmarkItem[]; rowKeys: RowKey[] }> {
  const items: BenchmarkItem[] = [];
  const rowKeys: RowKey[] = [];
  const places = new Map<string, number>();
  for await (const record of data.records()) {
    const item = benchmark.item(record);
    // A file may hold an item twice: each is asked and graded, and they are told apart.
    const times = (places.get(item.id) ?? 0) + 1;
    places.set(item.id, times);
    items.push(times === 1 ? item : { ...item, id: `${item.id} (${times})` });
    rowKeys.push(rowKey(record.row ?? rowOf(item)));
    if (items.length === limit) break;
  }
  if (items.length === 0)
    throw new StudioError('dataset_empty', `${data.path} has no rows to score.`, 'Choose other data.');
  return { items, rowKeys };
}

const rowOf = ({ question, solution }: BenchmarkItem) => ({
  kind: 'verbatim' as const,
  prompt: question,
  answer: solution,
});

/** Items from which solved examples are taken; null: those that are scored. @throws StudioError not_found */
export async function examplePool(
  benchmark: RowBenchmark,
  data: EvaluationData,
  shots: number,
): Promise<BenchmarkItem[] | null> {
  if (shots === 0) return null;
  const records: AsyncIterable<BenchmarkRecord> | null = data.others();
  if (records === null) {
    if (benchmark.showsScored) return null;
    throw new StudioError(
      'not_found',
      `Shots need solved examples, and nothing beside ${data.path} has them.`,
      'Put train.jsonl beside the test file or import it (MMLU: the folder with dev and test), or ask without solved examples (0 shots).',
    );
  }
  const pool: BenchmarkItem[] = [];
  for await (const record of records) pool.push(benchmark.item(record));
  return pool;
}

/**
 * lm-evaluation-harness cuts prompts from the left, so that the longest answer has room. Where an answer may be longer
 * than the context, it leaves nothing; here half of the context stays.
 */
function fitPrompts(
  sent: SentPrompts,
  { contextLength, maxTokens }: { contextLength: number; maxTokens: number },
): SentPrompts {
  const room = contextLength - maxTokens;
  const most = Math.max(1, room > 0 ? room : Math.floor(contextLength / 2));
  return { ...sent, ids: sent.ids.map((prompt) => prompt.slice(-most)) };
}
