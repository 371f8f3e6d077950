import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Dataset, Model } from '../../contract/entities.ts';
import type { DatasetService } from '../data/datasets.ts';
import { writeGeneratedDataset, writeGeneratedModel } from './generatedModel.ts';
import type { HomePaths } from '../homePaths.ts';
import type { ModelService } from '../models/models.ts';

/** What a first run is made with, without anything to download. */
export interface Starter {
  model: Model;
  dataset: Dataset;
}

/** Adds the studio's own tiny model and dataset to the library; what is there already is used. */
export async function addStarter(
  paths: HomePaths,
  models: ModelService,
  datasets: DatasetService,
): Promise<Starter> {
  const folder = join(paths.home, 'starter');
  const [modelFolder, dataFile] = [join(folder, 'starter-model'), join(folder, 'starter-sums.jsonl')];
  mkdirSync(folder, { recursive: true });
  // The tokenizer is written last: with it the folder is complete.
  if (!existsSync(join(modelFolder, 'tokenizer.json'))) writeGeneratedModel(modelFolder);
  if (!existsSync(dataFile)) writeGeneratedDataset(dataFile, 1000, 1);
  const model =
    models.list().find((known) => known.folder === modelFolder) ?? (await models.getOrAdd(modelFolder));
  const dataset =
    datasets.list().find((known) => known.sourcePath === dataFile) ?? (await datasets.getOrAdd(dataFile));
  return { model, dataset };
}
