import type { EvaluationItem } from '../../contract/results.ts';
import { evaluationBatch as batch } from '../../budget/forecast/evaluation.ts';
import type { EngineEvent } from '../../engine/messages.ts';
import type { ChosenRow, GeneratedRow } from '../../engine/protocol.ts';
import type { ChoiceBenchmark, GeneratingBenchmark } from '../../evaluation/benchmarks/benchmark.ts';
import { indexOfGreatest } from '../../evaluation/benchmarks/choices.ts';
import { dependsOnLength } from '../../formats/families/decoderConfig.ts';
import { readDecoderConfig } from '../../formats/families/huggingFaceConfig.ts';
import type { ServiceContext } from '../context.ts';
import {
  emptyItem,
  longestOf,
  type EvaluationSettings,
  type Outcome,
  type RunOptions,
} from './evaluationJobs.ts';
import { notRunYet } from './programs.ts';
import type { AskedItem, SentPrompts } from './prompts.ts';
import type { Subject } from './subjects.ts';
import { notJudgedYet } from './verdicts/localJudge.ts';

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

/** Items that are still to be asked of a subject. */
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

export const readsByLength = ({ folder }: Subject['model']) =>
  readDecoderConfig(folder).ropes.some(dependsOnLength);

/** Tokens of a text whose last one is foreseen and not read; where angles depend on the length, it is counted too. */
export function longestText(model: Subject['model']): number {
  return readsByLength(model) ? model.contextLength : model.contextLength + 1;
}

export const chosenParts = (sent: SentPrompts, model: Subject['model']) =>
  choiceParts(sent, longestText(model));

/** Has the engine find the likeliest of the choices of each item. */
export async function chooseAnswers(
  job: Job,
  benchmark: ChoiceBenchmark,
  options: RunOptions,
): Promise<Done> {
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

/** Has the engine generate the answers of each item, and grades them as they come. */
export async function generateAnswers(
  job: Job,
  benchmark: GeneratingBenchmark,
  options: RunOptions,
): Promise<Done> {
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
