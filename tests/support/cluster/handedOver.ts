import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { HandedRun } from '../../../src-main/contract/cluster.ts';
import { trainConfigSchema, type TrainConfigInput } from '../../../src-main/contract/training.ts';
import type { HandOverResult } from '../../../src-main/engine/protocol.ts';
import { loadTensorflow } from '../../../src-main/engine/runtime/loadTensorflow.ts';
import { handOver } from '../../../src-main/engine/training/handOver.ts';
import { readDecoderConfig } from '../../../src-main/formats/families/huggingFaceConfig.ts';
import { writeTrainer } from '../../../src-main/services/cluster/handOver.ts';
import { sampleRun } from '../sampleRun.ts';
import { tinyLlama } from '../paths.ts';
import { writeRandomRows } from '../trainingRun.ts';

/** Hands over what `trainTiny` would train with the same options. @returns the folder */
export async function handOverTiny(options: {
  config: TrainConfigInput;
  folder: string;
  tasks?: number;
  modelFolder?: string;
}): Promise<{ folder: string; result: HandOverResult; handed: HandedRun }> {
  const { folder, tasks = 0, modelFolder = tinyLlama } = options;
  const config = trainConfigSchema.parse(options.config);
  const [trainFile, heldOutFile] = [join(folder, 'train.tokens'), join(folder, 'heldout.tokens')];
  writeRandomRows(trainFile, 13, 1, tasks);
  writeRandomRows(heldOutFile, 5, 2, tasks);
  const outFolder = join(folder, 'handed');
  mkdirSync(outFolder);
  const result = await handOver(
    {
      kind: 'handOver',
      modelFolder,
      baseName: 'organization/base',
      trainFile,
      heldOutFile,
      config,
      cacheFolder: join(folder, 'cache'),
      outFolder,
    },
    readDecoderConfig(modelFolder),
    { tf: loadTensorflow().tf, fusion: false, emit: () => undefined, stopRequested: async () => null },
  );
  const { id, name, datasetId, datasetName } = sampleRun({ name: 'handed' });
  const handed: HandedRun = {
    format: 'id-lora-studio run',
    version: 1,
    id,
    name,
    studio: '0.1.0',
    createdAt: '2026-01-01T00:00:00.000Z',
    base: {
      name: 'organization/base',
      sha256: result.baseSha256,
      identity: { weights: result.baseSha256, config: '', tokenizer: '', template: '', generation: '' },
    },
    data: {
      id: datasetId!,
      name: datasetName,
      mix: null,
      contract: {
        hash: null,
        parts: {},
        sources: [],
        datasetHash: '',
        rows: result.rows,
        trainRows: result.rows,
        heldOutRows: result.heldOutRows,
        truncatedRows: 0,
        droppedRows: 0,
        refusedRows: 0,
        tokens: 0,
        trainedTokens: 0,
        packing: null,
      },
    },
    config,
    totalSteps: result.totalSteps,
    trainable: result.trainable ?? 0,
    frozenExtra: result.frozenExtra,
  };
  writeTrainer(outFolder, handed);
  return { folder: outFolder, result, handed };
}
