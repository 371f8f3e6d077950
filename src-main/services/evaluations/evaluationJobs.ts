import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { EvaluationItem, ScoreSums } from '../../contract/results.ts';
import type { ProcedureParsedInput } from '../../contract/procedures.ts';
import { evaluationBatch as batch } from '../../budget/forecast/evaluation.ts';
import { rowKey, type RowKey } from '../../data/rowKeys.ts';
import { fitToContext } from '../../data/tokenize.ts';
import type { EngineEvent } from '../../engine/protocol.ts';
import { gradeGsm8k, gsm8kItem, gsm8kStop, type Gsm8kItem } from '../../evaluation/gsm8k.ts';
import { lossSums } from '../../statistics/scores.ts';
import { dependsOnLength } from '../../formats/families/decoderConfig.ts';
import { readDecoderConfig } from '../../formats/families/huggingFaceConfig.ts';
import { writeTokenFile } from '../../formats/files/tokenFile.ts';
import { scoringCalls, type ScoringCalls } from '../../options/scoredLengths.ts';
import { newId, type ServiceContext } from '../context.ts';
import { shotsFor, type EvaluationData, type ScoredRow } from './evaluationData.ts';
import { chatRendering, scoredRendering, type Subject } from './subjects.ts';
import { askedPrompts, tokenizedRows, type AskedPrompts } from '../tokenizer/tokenizedRows.ts';
import { withTokenizerThread } from '../tokenizer/tokenizerThread.ts';

/** How a subject is scored. */
export type EvaluationSettings = Omit<ProcedureParsedInput<'evaluations.start'>, 'model' | 'adapter'>;

/** What a benchmark made of a subject. */
export interface Outcome {
  items: EvaluationItem[];
  sums: ScoreSums;
  peakMemoryBytes: number;
}

/** A benchmark whose rows are tokenized, so that what it takes is known. */
export interface PreparedEvaluation {
  items: number;
  /** Tokens of the longest row, or prompt. */
  rowTokens: number;
  /** Of an answer; 0 where nothing is generated. */
  maxTokens: number;
  /** The calls in which rows are scored; null where answers are generated. */
  scoring: ScoringCalls[] | null;
  /** By which its rows are recognized elsewhere. */
  rowKeys: RowKey[];
  run(options: { signal: AbortSignal; onEvent(event: EngineEvent): void }): Promise<Outcome>;
}

/**
 * Reads and tokenizes a benchmark's rows for a subject.
 * @param signal aborting ends it at once
 */
export function prepareEvaluation(
  context: ServiceContext,
  subject: Subject,
  data: EvaluationData,
  settings: EvaluationSettings,
  signal: AbortSignal,
): Promise<PreparedEvaluation> {
  return settings.benchmark === 'perplexity'
    ? preparePerplexity(context, subject, data, settings, signal)
    : prepareGsm8k(context, subject, data, settings, signal);
}

/** A loop: a call with one argument for each row ends with too many rows. */
function longestOf(rows: readonly { length: number }[]): number {
  return rows.reduce((longest, { length }) => Math.max(longest, length), 1);
}

/** Rows of one format that stand together, in their order. */
function partsByFormat(rows: readonly ScoredRow[]): ScoredRow[][] {
  const parts: ScoredRow[][] = [];
  for (const row of rows) {
    const last = parts.at(-1);
    if (last?.[0]?.format === row.format) last.push(row);
    else parts.push([row]);
  }
  return parts;
}

async function preparePerplexity(
  { paths, engine, database }: ServiceContext,
  subject: Subject,
  data: EvaluationData,
  settings: EvaluationSettings,
  signal: AbortSignal,
): Promise<PreparedEvaluation> {
  const given: ScoredRow[] = [];
  const rowKeys: RowKey[] = [];
  for await (const { row, format } of data.rows()) {
    rowKeys.push(rowKey(row));
    given.push({ row: settings.task === undefined ? row : { ...row, task: settings.task }, format });
    if (given.length === settings.limit) break;
  }
  const { rows } = await withTokenizerThread(signal, (thread) => {
    /** Each as rows of its format become text. */
    const tokenized = async function* () {
      for (const part of partsByFormat(given)) {
        const rendering = scoredRendering({ database }, subject, part[0]!.format);
        const partRows = part.map(({ row }) => row);
        yield* tokenizedRows(thread, subject.model, partRows, rendering);
      }
    };
    return fitToContext(tokenized(), subject.model.contextLength);
  });
  return {
    items: rows.length,
    rowTokens: longestOf(rows.map(({ ids }) => ids)),
    maxTokens: 0,
    scoring: scoringCalls(
      Int32Array.from(rows, ({ ids }) => ids.length),
      {
        batch: Math.max(1, Math.min(batch, rows.length)),
        context: subject.model.contextLength,
        isUniform: readDecoderConfig(subject.model.folder).ropes.some(dependsOnLength),
      },
    ),
    rowKeys,
    async run(options) {
      const tokenFile = join(paths.cache, 'tokens', `${newId()}.score`);
      writeTokenFile(tokenFile, rows);
      try {
        const job = engine.start({ kind: 'score', model: subject.reference, tokenFile, batch }, options);
        const { rows: scored, peakMemoryBytes } = await job.result;
        const items = scored.map(({ lossSum, tokens }, index): EvaluationItem => ({
          index,
          correct: null,
          loss: lossSum / tokens,
          tokens,
          output: null,
          answer: null,
          target: null,
        }));
        return { items, sums: lossSums(scored), peakMemoryBytes };
      } finally {
        rmSync(tokenFile, { force: true });
      }
    },
  };
}

async function prepareGsm8k(
  { engine, database }: ServiceContext,
  subject: Subject,
  data: EvaluationData,
  settings: EvaluationSettings,
  signal: AbortSignal,
): Promise<PreparedEvaluation> {
  const items: Gsm8kItem[] = [];
  const rowKeys: RowKey[] = [];
  for await (const example of data.examples('gsm8k')) {
    items.push(gsm8kItem(example, items.length));
    rowKeys.push(rowKey({ kind: 'verbatim', ...example }));
    if (items.length === settings.limit) break;
  }
  const prefix = await shotsFor(data, settings);
  const room = subject.model.contextLength - 1;
  const texts = items.map(({ prompt }) => prefix + prompt);
  const asked = await withTokenizerThread(signal, async (thread): Promise<AskedPrompts> => {
    if (settings.chat)
      return askedPrompts(thread, subject.model, texts, chatRendering({ database }, subject.run));
    return { ids: await thread.encode(subject.model, texts), endIds: [], stop: [] };
  });
  // lm-evaluation-harness cuts prompts from the left to leave room for the answer.
  const prompts = asked.ids.map((ids) => ids.slice(-Math.max(1, room - 16)));
  return {
    items: items.length,
    rowTokens: longestOf(prompts),
    maxTokens: Math.min(settings.maxTokens, room),
    scoring: null,
    rowKeys,
    async run(options) {
      const job = engine.start(
        {
          kind: 'generate',
          model: subject.reference,
          prompts,
          maxTokens: settings.maxTokens,
          temperature: 0,
          topP: 1,
          seed: settings.seed,
          stop: [...gsm8kStop, ...asked.stop],
          endIds: asked.endIds,
          batch,
          task: settings.task ?? 0,
        },
        options,
      );
      const { rows, peakMemoryBytes } = await job.result;
      const graded = rows.map((row, i): EvaluationItem => {
        const grade = gradeGsm8k(row.text, items[i]!.solution);
        return { index: i, ...grade, loss: null, tokens: row.ids.length, output: row.text };
      });
      const right = graded.filter((item) => item.correct).length;
      return { items: graded, sums: { kind: 'right', right }, peakMemoryBytes };
    },
  };
}
