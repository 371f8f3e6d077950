import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { dataContractSchema, type DataContract, type Dataset, type Model } from '../../contract/entities.ts';
import { countRows } from '../../contract/datasets/parts.ts';
import { StudioError } from '../../contract/errors.ts';
import type { Row } from '../../contract/rows.ts';
import type { TrainConfig } from '../../contract/training.ts';
import { readRows } from '../../data/readRows.ts';
import { renderingOf, type RenderingOptions } from '../../data/rendering/tokenizeRow.ts';
import { splitRows } from '../../data/split.ts';
import { fitToContext } from '../../data/tokenize.ts';
import { readJsonObject } from '../../formats/files/jsonFile.ts';
import { writeFileAtomic } from '../../formats/files/atomicFile.ts';
import { readingOf } from '../../formats/model/identity.ts';
import { writeTokenFile } from '../../formats/files/tokenFile.ts';
import { renderingKey, tokenizedRows } from '../tokenizer/tokenizedRows.ts';
import { withTokenizerThread, type TokenizerThread } from '../tokenizer/tokenizerThread.ts';

/** So many rows are tokenized between two reports. */
const reportedRows = 128;

export interface TrainingData {
  trainFile: string;
  /** Null where no row is held out. */
  heldOutFile: string | null;
  contract: DataContract;
}

/**
 * Tokenizes a dataset for a run, into the cache: files are named by all that decides their content, and made only once.
 * Held-out rows are chosen by the run's seed before anything is dropped.
 */
export function prepareTrainingData(options: {
  model: Model;
  dataset: Dataset;
  /** Where the library keeps its copies. */
  datasetFolder: string;
  config: RenderingOptions & Pick<TrainConfig, 'context' | 'truncation' | 'seed' | 'heldOutFraction'>;
  cacheFolder: string;
  /** Aborting ends it at once, in the middle of a row, too. */
  signal: AbortSignal;
  /** Called now and then, and at the end of work that took place. */
  onRows(done: number, total: number): void;
}): Promise<TrainingData> {
  return withTokenizerThread(options.signal, (thread) => prepare(thread, options));
}

async function prepare(
  thread: TokenizerThread,
  options: Parameters<typeof prepareTrainingData>[0],
): Promise<TrainingData> {
  const { model, dataset, datasetFolder, config, cacheFolder, signal, onRows } = options;
  const context = Math.min(config.context, model.contextLength);
  const rendering = renderingOf(dataset, config);
  const key = createHash('sha256')
    .update(
      JSON.stringify([
        'tokens 2',
        dataset.contentHash,
        readingOf(model),
        await renderingKey(thread, model, rendering),
        context,
        config.truncation,
        config.seed,
        config.heldOutFraction,
      ]),
    )
    .digest('hex');
  const path = (part: string) => join(cacheFolder, 'tokens', `${key}.${part}`);
  if (!existsSync(path('json'))) {
    const split = splitRows(countRows(dataset, 'train'), config.heldOutFraction, config.seed);
    const total = split.train.length + split.heldOut.length;
    let done = 0;
    const rowsAt = async function* (indices: readonly number[]) {
      for await (const row of tokenizedRows(
        thread,
        model,
        chosen(datasetFolder, dataset, indices, signal),
        rendering,
      )) {
        yield row;
        if (++done % reportedRows === 0 || done === total) onRows(done, total);
      }
    };
    const train = await fitToContext(rowsAt(split.train), context, config.truncation);
    writeTokenFile(path('train'), train.rows);
    let heldOutRows = 0;
    if (split.heldOut.length > 0) {
      const heldOut = await fitToContext(rowsAt(split.heldOut), context, config.truncation).catch(
        (error: unknown) => {
          // Training can do without held-out rows: all of them may be too long for the context.
          if (error instanceof StudioError && error.code === 'dataset_invalid') return null;
          throw error;
        },
      );
      if (heldOut) heldOutRows = writeTokenFile(path('heldout'), heldOut.rows);
    }
    const contract: DataContract = {
      datasetHash: dataset.contentHash,
      rows: countRows(dataset, 'train'),
      trainRows: train.rows.length,
      heldOutRows,
      ...train.counts,
      // The engine packs, with the run's seed.
      packing: null,
    };
    writeFileAtomic(path('json'), JSON.stringify(contract));
  }
  const contract = dataContractSchema.parse(readJsonObject(path('json'), 1024 * 1024, 'internal'));
  return {
    trainFile: path('train'),
    heldOutFile: contract.heldOutRows > 0 ? path('heldout') : null,
    contract,
  };
}

/** The rows at ascending indices. */
async function* chosen(
  folder: string,
  dataset: Dataset,
  indices: readonly number[],
  signal: AbortSignal,
): AsyncGenerator<Row> {
  let next = 0;
  let index = 0;
  for await (const { row } of readRows(folder, dataset, { split: 'train' })) {
    signal.throwIfAborted();
    if (index++ !== indices[next]) continue;
    yield row;
    if (++next === indices.length) return;
  }
}
