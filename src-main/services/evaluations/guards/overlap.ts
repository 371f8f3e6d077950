import { Worker } from 'node:worker_threads';
import type { Guard } from '../../../contract/evaluation/guards.ts';
import type { Run } from '../../../contract/entities.ts';
import { StudioError } from '../../../contract/errors.ts';
import type { Evaluation, EvaluationItem } from '../../../contract/results.ts';
import type { Row } from '../../../contract/rows.ts';
import { overlapSentence } from '../../../evaluation/guardWords.ts';
import type { ServiceContext } from '../../context.ts';
import type { DatasetService } from '../../data/datasetService.ts';
import { cancelled } from '../../machine/disk.ts';
import { runRows } from '../../mixes/runRows.ts';
import { givenData } from '../evaluationData.ts';
import type { OverlapAnswer, OverlapWork } from './overlapWorker.ts';

/**
 * Items of a benchmark that share words with the rows that a run was trained on, by stretches of 13 words as GPT-3's
 * authors counted them, and those that stand there as a whole; null where rows or items cannot be read any more.
 * @param signal aborting ends it at once
 */
export async function findOverlap(
  context: ServiceContext,
  datasets: DatasetService,
  given: { run: Run; evaluation: Evaluation; items: readonly EvaluationItem[] },
  signal: AbortSignal,
): Promise<Guard['overlap']> {
  const { run, evaluation, items } = given;
  try {
    const texts = await textsOf(datasets, evaluation, items);
    if (texts === null) return null;
    const parts = (await runRows(context, run)).map(({ dataset, train }) => ({ dataset, rows: train }));
    const found = await lookInThread({ folder: context.paths.datasets, texts, parts }, signal);
    const counts = { items: found, sameRows: evaluation.leak?.items ?? 0, of: texts.length };
    return { ...counts, sentence: overlapSentence(counts, run.name) };
  } catch (error) {
    // A dataset or a file that is gone tells nothing, and is no reason to withhold the scores.
    if (error instanceof StudioError && error.code !== 'cancelled') return null;
    throw error;
  }
}

/** What items ask; of perplexity the rows themselves, which ask nothing. */
async function textsOf(
  datasets: DatasetService,
  { benchmark, asked, n }: Evaluation,
  items: readonly EvaluationItem[],
): Promise<string[] | null> {
  if (benchmark !== 'perplexity')
    return items.some(({ question }) => question !== null)
      ? items.map(({ question }) => question ?? '')
      : null;
  if (!asked?.data) return null;
  const texts: string[] = [];
  const data = await givenData(datasets, asked.data);
  for await (const { row } of data.rows()) {
    texts.push(rowText(row));
    if (texts.length === n) break;
  }
  return texts;
}

function rowText(row: Row): string {
  if (row.kind === 'text') return row.text;
  if (row.kind === 'verbatim') return `${row.prompt}\n${row.answer}`;
  return row.turns.map(({ content }) => content).join('\n');
}

function lookInThread(work: OverlapWork, signal: AbortSignal): Promise<number> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(cancelled('Looking for shared words'));
    const worker = new Worker(new URL('./overlapWorker.ts', import.meta.url), { workerData: work });
    const end = (settle: () => void) => {
      signal.removeEventListener('abort', onAbort);
      void worker.terminate();
      settle();
    };
    const onAbort = () => end(() => reject(cancelled('Looking for shared words')));
    signal.addEventListener('abort', onAbort);
    worker.on('message', (answer: OverlapAnswer) =>
      end(() => {
        if (answer.kind === 'done') resolve(answer.items);
        else reject(StudioError.fromPlain(answer.error));
      }),
    );
    worker.on('error', (error) => end(() => reject(error)));
  });
}
