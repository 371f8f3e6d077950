import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { EvaluationItem } from '../../contract/results.ts';
import { evaluationBatch as batch } from '../../budget/forecast/evaluation.ts';
import { rowKey, type RowKey } from '../../data/rowKeys.ts';
import { fitToContext } from '../../data/tokenize.ts';
import { lossSums } from '../../statistics/scores.ts';
import { dependsOnLength } from '../../formats/families/decoderConfig.ts';
import { readDecoderConfig } from '../../formats/families/huggingFaceConfig.ts';
import { writeTokenFile } from '../../formats/files/tokenFile.ts';
import { scoringCalls } from '../../options/scoredLengths.ts';
import { newId, type ServiceContext } from '../context.ts';
import type { EvaluationData, ScoredRow } from './evaluationData.ts';
import { emptyItem, longestOf, type EvaluationSettings, type PreparedEvaluation } from './evaluationJobs.ts';
import { scoredRendering, type Subject } from './subjects.ts';
import { tokenizedRows } from '../tokenizer/tokenizedRows.ts';
import { withTokenizerThread } from '../tokenizer/tokenizerThread.ts';

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

/** Reads and tokenizes rows whose answers are scored. @param signal aborting ends it at once */
export async function preparePerplexity(
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
    pending: rows.length,
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
    prompts: null,
    async run(options) {
      const tokenFile = join(paths.cache, 'tokens', `${newId()}.score`);
      writeTokenFile(tokenFile, rows);
      try {
        const job = engine.start({ kind: 'score', model: subject.reference, tokenFile, batch }, options);
        const { rows: scored, peakMemoryBytes } = await job.result;
        const items = scored.map(({ lossSum, tokens }, index): EvaluationItem => ({
          ...emptyItem,
          index,
          id: String(index),
          loss: lossSum / tokens,
          tokens,
        }));
        return { items, sums: lossSums(scored), peakMemoryBytes };
      } finally {
        rmSync(tokenFile, { force: true });
      }
    },
  };
}
