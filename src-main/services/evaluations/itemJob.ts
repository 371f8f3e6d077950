import type { EvaluationItem } from '../../contract/results.ts';
import { StudioError } from '../../contract/errors.ts';
import { evaluationBatch as batch } from '../../budget/forecast/evaluation.ts';
import { rowKey, type RowKey } from '../../data/rowKeys.ts';
import type { EngineEvent } from '../../engine/messages.ts';
import type { ChosenRow, GeneratedRow } from '../../engine/protocol.ts';
import type {
  BenchmarkItem,
  BenchmarkRecord,
  ChoiceBenchmark,
  GeneratingBenchmark,
  RowBenchmark,
} from '../../evaluation/benchmarks/benchmark.ts';
import { indexOfGreatest } from '../../evaluation/benchmarks/choices.ts';
import { choiceCalls } from '../../options/choiceRows.ts';
import { dependsOnLength } from '../../formats/families/decoderConfig.ts';
import { readDecoderConfig } from '../../formats/families/huggingFaceConfig.ts';
import { itemSums } from '../../statistics/scores.ts';
import type { Sandbox } from '../../evaluation/sandbox/sandbox.ts';
import type { ServiceContext } from '../context.ts';
import type { EvaluationData } from './evaluationData.ts';
import {
  emptyItem,
  longestOf,
  type EvaluationSettings,
  type Outcome,
  type PreparedEvaluation,
  type RunOptions,
} from './evaluationJobs.ts';
import { gradePrograms, notRunYet } from './programs.ts';
import { judgeItems, notJudgedYet, type LocalJudge } from './verdicts/localJudge.ts';
import { sentPrompts, withExamples, type AskedItem, type SentPrompts } from './prompts.ts';
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
  // The first one is shown with the score, also where all are known.
  const sentItems = pending.length > 0 && pending[0]!.index === 0 ? pending : [asked[0]!, ...pending];
  const sent = await withTokenizerThread(signal, (thread) =>
    sentPrompts(thread, subject.model, sentItems, benchmark, rendering),
  );
  const first = sent.texts[0]!;
  const own = sentItems === pending ? sent : withoutFirst(sent);
  const maxTokens =
    benchmark.kind === 'choice' ? 0 : Math.min(settings.maxTokens, Math.max(1, contextLength - 1));
  const fitted = benchmark.kind === 'choice' ? own : fitPrompts(own, { contextLength, maxTokens });
  const most = longestText(subject.model);
  const isCut = (ids: readonly number[], i: number) =>
    benchmark.kind === 'choice'
      ? ids.length + longestOf(own.choices[i]!) > most
      : ids.length > fitted.ids[i]!.length;
  return {
    items: items.length,
    pending: pending.length,
    rowTokens: Math.min(contextLength, longestOf(fitted.ids)),
    maxTokens,
    scoring:
      benchmark.kind === 'choice'
        ? choiceCalls(chosenParts(own, subject.model), {
            batch,
            context: contextLength,
            isUniform: readsByLength(subject.model),
          })
        : null,
    rowKeys,
    prompts: {
      chat: own.template !== null,
      template: own.template?.name ?? null,
      system: own.template === null ? null : (rendering?.template.system ?? null),
      first: first.length > keptPrompt ? `${first.slice(0, keptPrompt)}…` : first,
      cut: own.ids.filter(isCut).length,
    },
    async run(options) {
      // Before an hour of work it is found out whether its programs can be run.
      const place = benchmark.runsCode ? await sandbox(options.signal) : null;
      const job = { engine, subject, settings, pending, sent: fitted, maxTokens };
      const done =
        pending.length === 0
          ? { items: [], peakMemoryBytes: 0 }
          : benchmark.kind === 'choice'
            ? await chooseAnswers(job, benchmark, options)
            : await generateAnswers(job, benchmark, options);
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

function withoutFirst(sent: SentPrompts): SentPrompts {
  return { ...sent, texts: sent.texts.slice(1), ids: sent.ids.slice(1), choices: sent.choices.slice(1) };
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

/** Choices that are asked behind one prompt: those of an item, or one of them alone. */
interface ChoicePart {
  /** Place among the items that are to be done. */
  at: number;
  first: number;
  prompt: readonly number[];
  choices: readonly (readonly number[])[];
}

/**
 * What is asked of the engine for each item: its choices behind its prompt. Where they do not fit,
 * lm-evaluation-harness cuts each text from the left to what the model reads: choices of different lengths leave
 * prompts of different lengths.
 * @param most tokens of a prompt and a choice
 */
function choiceParts({ ids, choices }: Pick<SentPrompts, 'ids' | 'choices'>, most: number): ChoicePart[] {
  return ids.flatMap((prompt, at): ChoicePart[] => {
    const answers = choices[at]!;
    if (prompt.length + longestOf(answers) <= most) return [{ at, first: 0, prompt, choices: answers }];
    const cutFor = (answer: readonly number[]) => prompt.slice(-Math.max(1, most - answer.length));
    return answers.every(({ length }) => length === answers[0]!.length)
      ? [{ at, first: 0, prompt: cutFor(answers[0]!), choices: answers }]
      : answers.map((answer, first) => ({ at, first, prompt: cutFor(answer), choices: [answer] }));
  });
}

interface Job {
  engine: ServiceContext['engine'];
  subject: Subject;
  settings: EvaluationSettings;
  pending: readonly AskedItem[];
  sent: SentPrompts;
  maxTokens: number;
}

type Done = Pick<Outcome, 'items' | 'peakMemoryBytes'>;

/** What all items have, graded or not. */
function itemOf({ index, id, group, question, target }: AskedItem): EvaluationItem {
  return { ...emptyItem, index, id, group, question, target };
}

const readsByLength = ({ folder }: Subject['model']) => readDecoderConfig(folder).ropes.some(dependsOnLength);

/** Tokens of a text whose last one is foreseen and not read; where angles depend on the length, it is counted too. */
function longestText(model: Subject['model']): number {
  return readsByLength(model) ? model.contextLength : model.contextLength + 1;
}

const chosenParts = (sent: SentPrompts, model: Subject['model']) => choiceParts(sent, longestText(model));

async function chooseAnswers(job: Job, benchmark: ChoiceBenchmark, options: RunOptions): Promise<Done> {
  const { engine, subject, settings, pending, sent } = job;
  const items: EvaluationItem[] = [];
  const parts = chosenParts(sent, subject.model);
  const found = sent.choices.map((choices) => choices.map((): number | null => null));
  const grade = (rows: readonly { index: number; row: ChosenRow }[]) => {
    const graded: EvaluationItem[] = [];
    for (const { index, row } of rows) {
      const { at, first } = parts[index]!;
      row.logLikelihoods.forEach((value, i) => (found[at]![first + i] = value));
      const values = found[at]!.filter((value) => value !== null);
      if (values.length === found[at]!.length)
        graded.push(chosenItem(pending[at]!, sent.choices[at]!, benchmark, values));
    }
    for (const item of graded) items.push(item);
    options.onItems?.(graded);
  };
  const { peakMemoryBytes } = await engine.start(
    {
      kind: 'choices',
      model: subject.reference,
      items: parts.map(({ prompt, choices }) => ({ prompt, choices })),
      batch,
      task: settings.task ?? 0,
    },
    {
      signal: options.signal,
      onEvent(event: EngineEvent) {
        if (event.type === 'chosen') grade(event.rows);
        else options.onEvent(event);
      },
    },
  ).result;
  return { items, peakMemoryBytes };
}

function chosenItem(
  asked: AskedItem,
  tokens: readonly (readonly number[])[],
  benchmark: ChoiceBenchmark,
  logLikelihoods: readonly number[],
): EvaluationItem {
  const chosen = indexOfGreatest(logLikelihoods);
  const item = itemOf(asked);
  const count = tokens.reduce((sum, { length }) => sum + length, 0);
  if (!logLikelihoods.every(Number.isFinite))
    return { ...item, state: 'failed', tokens: count, remark: 'its log-likelihoods are not finite' };
  return {
    ...item,
    correct: chosen === asked.right,
    others: benchmark.others?.(asked, logLikelihoods) ?? {},
    choiceLogLikelihoods: [...logLikelihoods],
    tokens: count,
    answer: asked.choices![chosen]!,
  };
}

async function generateAnswers(job: Job, benchmark: GeneratingBenchmark, options: RunOptions): Promise<Done> {
  const { engine, subject, settings, pending, sent, maxTokens } = job;
  const { samples } = settings;
  const items: EvaluationItem[] = [];
  const answers = pending.map((): GeneratedRow[] => []);
  const grade = (rows: readonly { index: number; row: GeneratedRow }[]) => {
    const graded: EvaluationItem[] = [];
    for (const { index, row } of rows) {
      const at = Math.floor(index / samples);
      answers[at]![index % samples] = row;
      if (Object.keys(answers[at]!).length < samples) continue;
      graded.push(answeredItem(pending[at]!, benchmark, answers[at]!, settings));
    }
    for (const item of graded) items.push(item);
    options.onItems?.(graded);
  };
  const { peakMemoryBytes } = await engine.start(
    {
      kind: 'generate',
      model: subject.reference,
      prompts: sent.ids.flatMap((ids) => Array.from({ length: samples }, () => ids)),
      // What is drawn for an item does not depend on which others are still to be done.
      numbers: pending.flatMap(({ index }) => Array.from({ length: samples }, (_, i) => index * samples + i)),
      maxTokens,
      temperature: settings.temperature,
      topP: settings.topP,
      seed: settings.seed,
      stop: [...benchmark.stop, ...sent.stop],
      endIds: sent.endIds,
      batch,
      task: settings.task ?? 0,
    },
    {
      signal: options.signal,
      onEvent(event: EngineEvent) {
        if (event.type === 'generated') grade(event.rows);
        else options.onEvent(event);
      },
    },
  ).result;
  return { items, peakMemoryBytes };
}

/** Of several answers the share of right ones is the grade; programs are run when all answers are there. */
function answeredItem(
  asked: AskedItem,
  benchmark: GeneratingBenchmark,
  answers: readonly GeneratedRow[],
  settings: EvaluationSettings,
): EvaluationItem {
  const graded = answers.map((answer) => generatedItem(asked, benchmark, answer, settings));
  const [first] = graded;
  const tokens = graded.reduce((sum, item) => sum + item.tokens, 0);
  const outputs = answers.map(({ text }) => text);
  if (benchmark.runsCode)
    return { ...first!, state: 'failed', tokens, outputs, correct: null, answer: null, remark: notRunYet };
  if (answers.length === 1) return first!;
  const right = graded.filter(({ correct }) => correct === true).length;
  return { ...first!, state: 'graded', correct: null, share: right / answers.length, tokens, outputs };
}

/** An answer that was cut off before anything could be graded is not wrong: with more tokens it may have been right. */
function generatedItem(
  asked: AskedItem,
  benchmark: GeneratingBenchmark,
  { text, ids, end }: GeneratedRow,
  { pattern, judge }: EvaluationSettings,
): EvaluationItem {
  if (judge && benchmark.judged && text.trim() !== '')
    return {
      ...itemOf(asked),
      state: 'abstained',
      tokens: ids.length,
      output: text,
      end,
      remark: notJudgedYet,
    };
  const grade = benchmark.grade(asked, text, { pattern });
  const isCut = (end === 'length' || end === 'context') && grade.correct !== true && grade.answer === null;
  return {
    ...itemOf(asked),
    ...grade,
    ...(isCut && { state: 'cut_off' as const, correct: null }),
    tokens: ids.length,
    output: text,
    end,
  };
}
