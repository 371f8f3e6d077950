import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import {
  dataContractSchema,
  type DataContract,
  type Dataset,
  type Example,
  type Model,
} from '../contract/entities.ts';
import { StudioError } from '../contract/errors.ts';
import type { TrainConfig } from '../contract/training.ts';
import { readExamples } from '../data/importDataset.ts';
import { splitRows } from '../data/split.ts';
import { tokeniseExamples } from '../data/tokenise.ts';
import { readJsonObject } from '../formats/jsonFile.ts';
import { writeFileAtomic } from '../formats/atomicFile.ts';
import { loadModelTokenizer } from '../formats/tokenizer.ts';
import { writeTokenFile } from '../formats/tokenFile.ts';

export interface TrainingData {
  trainFile: string;
  /** Null where no row is held out. */
  heldOutFile: string | null;
  contract: DataContract;
}

/**
 * Tokenises a dataset for a run, into the cache: files are named by all that decides their content, and made only once.
 * Held-out rows are chosen by the run's seed before anything is dropped.
 */
export async function prepareTrainingData(options: {
  model: Model;
  dataset: Dataset;
  datasetFile: string;
  config: Pick<TrainConfig, 'context' | 'seed' | 'heldOutFraction'>;
  cacheFolder: string;
  /** Aborting ends it between two rows. */
  signal: AbortSignal;
}): Promise<TrainingData> {
  const { model, dataset, datasetFile, config, cacheFolder, signal } = options;
  signal.throwIfAborted();
  const context = Math.min(config.context, model.contextLength);
  const key = createHash('sha256')
    .update(
      JSON.stringify([
        'tokens 1',
        dataset.contentHash,
        model.contentHash,
        loadModelTokenizer(model.folder).eosId,
        context,
        config.seed,
        config.heldOutFraction,
      ]),
    )
    .digest('hex');
  const path = (part: string) => join(cacheFolder, 'tokens', `${key}.${part}`);
  if (!existsSync(path('json'))) {
    const tokenizer = loadModelTokenizer(model.folder);
    const split = splitRows(dataset.rows, config.heldOutFraction, config.seed);
    const train = await tokeniseExamples(tokenizer, chosen(datasetFile, split.train, signal), context);
    writeTokenFile(path('train'), train.rows);
    let heldOutRows = 0;
    if (split.heldOut.length > 0) {
      const heldOut = await tokeniseExamples(
        tokenizer,
        chosen(datasetFile, split.heldOut, signal),
        context,
      ).catch((error: unknown) => {
        // Training can do without held-out rows: all of them may be too long for the context.
        if (error instanceof StudioError && error.code === 'dataset_invalid') return null;
        throw error;
      });
      if (heldOut) heldOutRows = writeTokenFile(path('heldout'), heldOut.rows);
    }
    const contract: DataContract = {
      datasetHash: dataset.contentHash,
      rows: dataset.rows,
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

/** The examples at ascending indices. */
async function* chosen(
  file: string,
  indices: readonly number[],
  signal: AbortSignal,
): AsyncGenerator<Example> {
  let next = 0;
  let row = 0;
  for await (const example of readExamples(file)) {
    signal.throwIfAborted();
    if (row++ !== indices[next]) continue;
    yield example;
    if (++next === indices.length) return;
  }
}
