import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import {
  mostNamedRows,
  rowStatisticsSchema,
  type LengthStatistics,
  type RowStatistics,
} from '../../contract/datasets/statistics.ts';
import { rangesOf } from '../../contract/datasets/parts.ts';
import type { Dataset } from '../../contract/entities.ts';
import { StudioError } from '../../contract/errors.ts';
import type { ProcedureHandlers } from '../../contract/procedures.ts';
import type { Split } from '../../contract/rows.ts';
import type { RenderingOptions } from '../../data/rendering/tokenizeRow.ts';
import { writeFileAtomic } from '../../formats/files/atomicFile.ts';
import { readJsonObject } from '../../formats/files/jsonFile.ts';
import { TokenFileReader } from '../../formats/files/tokenFile.ts';
import type { ServiceContext } from '../context.ts';
import type { DatasetService } from '../data/datasetService.ts';
import { cancelled } from '../machine/disk.ts';
import { mixTree } from '../mixes/mixTree.ts';
import { datasetRecipe } from '../../contract/mixing/mixes.ts';
import { tokenizeLeaves } from '../mixes/trainingData.ts';
import type { ModelService } from '../models/models.ts';
import { endProgress } from '../progress.ts';
import type { StatisticsAnswer, StatisticsWork } from './statisticsWorker.ts';

/** To be raised when rows are judged otherwise: what was found before is found anew. */
const statisticsVersion = 3;
const quantileCount = 1001;
const longestNamed = 20;

export interface StatisticsService {
  /** Looks at all rows of a dataset, once for the same rows and test sets. */
  rows(reference: string, signal: AbortSignal): Promise<RowStatistics>;
  /** Tokens of its rows with a model. */
  lengths(
    given: { dataset: string; model: string; split: Split; rendering: RenderingOptions },
    signal: AbortSignal,
  ): Promise<LengthStatistics>;
}

export function createStatisticsService(
  context: ServiceContext,
  models: ModelService,
  datasets: DatasetService,
): StatisticsService {
  const { paths, emit } = context;
  return {
    async rows(reference, signal) {
      const dataset = datasets.get(reference);
      const tests = datasets.list().filter((other) => other.id !== dataset.id && isTest(other));
      const key = createHash('sha256')
        .update(
          JSON.stringify([
            statisticsVersion,
            dataset.contentHash,
            tests.map(({ name, contentHash }) => [name, contentHash]),
          ]),
        )
        .digest('hex');
      const kept = join(paths.cache, 'rows', `${key}.statistics.json`);
      if (existsSync(kept))
        return rowStatisticsSchema.parse(readJsonObject(kept, 64 * 1024 * 1024, 'internal'));
      const task = `statistics ${dataset.id}`;
      try {
        const found = await lookInThread({ folder: paths.datasets, dataset, tests }, signal, (done) =>
          emit({ type: 'progress', task, label: 'Looking at the rows', done, total: dataset.rows }),
        );
        writeFileAtomic(kept, JSON.stringify(found));
        return found;
      } finally {
        endProgress(context, task);
      }
    },

    async lengths({ dataset: reference, model: modelReference, split, rendering }, signal) {
      const [dataset, model] = [datasets.get(reference), await models.use(modelReference, signal)];
      const task = `lengths ${dataset.id}`;
      try {
        const node = mixTree(datasetRecipe({ id: dataset.id, split }), {
          dataset: () => dataset,
          mix: () => {
            throw new Error('a dataset alone has no mix in it');
          },
        });
        const [files] = await tokenizeLeaves({
          model,
          node,
          rendering,
          datasetFolder: paths.datasets,
          cacheFolder: paths.cache,
          signal,
          onRows: (done, total) =>
            emit({ type: 'progress', task, label: 'Tokenizing the rows', done, total }),
        });
        return measure(files!.train, dataset, split);
      } finally {
        endProgress(context, task);
      }
    },
  };
}

/** Whether its rows may be scored with: test data by what is said of it, or the test set of a benchmark. */
function isTest({ stretches, benchmarkRows }: Dataset): boolean {
  return (
    stretches.some(({ split, rows }) => split === 'test' && rows > 0) ||
    benchmarkRows.some(({ rows, of }) => rows > of / 2)
  );
}

function lookInThread(
  work: StatisticsWork,
  signal: AbortSignal,
  onProgress: (done: number) => void,
): Promise<RowStatistics> {
  signal.throwIfAborted();
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL('./statisticsWorker.ts', import.meta.url), { workerData: work });
    const abort = () => {
      void worker.terminate();
      reject(cancelled('Looking at the rows'));
    };
    signal.addEventListener('abort', abort, { once: true });
    worker.on('message', (answer: StatisticsAnswer) => {
      if (answer.kind === 'progress') return onProgress(answer.done);
      signal.removeEventListener('abort', abort);
      void worker.terminate();
      if (answer.kind === 'done') resolve(answer.value);
      else reject(StudioError.fromPlain(answer.error));
    });
    worker.on('error', reject);
  });
}

/** Lengths of the rows of a token file; row numbers are those of the dataset. */
function measure(file: string, dataset: Dataset, split: Split): LengthStatistics {
  const reader = new TokenFileReader(file);
  try {
    const numbers = rangesOf(dataset, split).flatMap(({ begin, count }) =>
      Array.from({ length: count }, (_, i) => begin + i),
    );
    const lengths = Uint32Array.from(reader.labels, (_, row) => reader.length(row));
    const untrained = numbers.filter((_, row) => reader.labels[row] === 0 && lengths[row]! > 0);
    const prompts: number[] = [];
    for (let row = 0; row < reader.rowCount; row++) {
      // Where everything is trained the first label is the second token; only the others have to be read.
      if (reader.labels[row] === 0) continue;
      prompts.push(reader.labels[row] === lengths[row]! - 1 ? 1 : reader.row(row).trained.indexOf(1, 1));
    }
    const byLength = Array.from(lengths.keys()).sort((a, b) => lengths[b]! - lengths[a]!);
    return {
      rows: reader.rowCount,
      untrainedRows: untrained.length,
      untrained: untrained.slice(0, mostNamedRows),
      refusedRows: lengths.filter((length) => length === 0).length,
      lengths: quantilesOf(lengths.slice().sort()),
      prompts: quantilesOf(Uint32Array.from(prompts).sort()),
      longest: lengths.reduce((most, length) => Math.max(most, length), 0),
      longestRows: byLength
        .slice(0, longestNamed)
        .map((row) => ({ index: numbers[row]!, tokens: lengths[row]! })),
    };
  } finally {
    reader.close();
  }
}

/** @param sorted ascending */
function quantilesOf(sorted: Uint32Array): number[] {
  if (sorted.length === 0) return [];
  return Array.from(
    { length: quantileCount },
    (_, i) => sorted[Math.round((i / (quantileCount - 1)) * (sorted.length - 1))]!,
  );
}

/** What callers ask of them. */
export const statisticsHandlers = (statistics: StatisticsService) =>
  ({
    'datasets.statistics': ({ dataset }, { signal }) => statistics.rows(dataset, signal),
    'datasets.lengths': (input, { signal }) => statistics.lengths(input, signal),
  }) satisfies Partial<ProcedureHandlers>;
