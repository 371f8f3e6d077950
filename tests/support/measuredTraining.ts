import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ModelShape } from '../../src-main/shape/modelShape.ts';
import {
  trainConfigSchema,
  type TrainConfig,
  type TrainConfigInput,
} from '../../src-main/contract/training.ts';
import { createRandom } from '../../src-main/statistics/random.ts';
import { benchConfig, randomWeights } from '../../src-main/engine/bench/randomModel.ts';
import { createEngineHost } from '../../src-main/engine/process/supervisor.ts';
import { writeFileAtomic } from '../../src-main/formats/files/atomicFile.ts';
import { expectedWeights } from '../../src-main/formats/model/decoderWeights.ts';
import { writeSafetensors } from '../../src-main/formats/files/safetensors.ts';
import { writeTokenFile, type TokenRow } from '../../src-main/formats/files/tokenFile.ts';

/** Writes a Llama with random bf16 weights of the given sizes. */
export function writeRandomModel(folder: string, shape: ModelShape, contextLength: number): void {
  mkdirSync(folder, { recursive: true });
  const config = benchConfig(shape, contextLength);
  const weights = randomWeights(config);
  writeSafetensors(
    join(folder, 'model.safetensors'),
    [...expectedWeights(config)].map(([name, sizes]) => ({
      name,
      dtype: 'BF16' as const,
      shape: sizes,
      data: () => weights.read(name),
    })),
  );
  writeFileAtomic(
    join(folder, 'config.json'),
    JSON.stringify({
      architectures: ['LlamaForCausalLM'],
      model_type: 'llama',
      hidden_size: shape.hiddenSize,
      intermediate_size: shape.intermediateSize,
      num_hidden_layers: shape.layers,
      num_attention_heads: shape.heads,
      num_key_value_heads: shape.keyValueHeads,
      head_dim: shape.headDim,
      max_position_embeddings: contextLength,
      vocab_size: shape.vocabularySize,
      rms_norm_eps: 1e-6,
      rope_theta: 10000,
      tie_word_embeddings: shape.tieEmbeddings,
      bos_token_id: 1,
      eos_token_id: 2,
      torch_dtype: 'bfloat16',
    }),
  );
}

export interface MeasuredTraining {
  config: TrainConfig;
  peakMemoryBytes: number;
  /** Seconds until the first step begins: the engine, weights, the session. */
  loadSeconds: number;
  /** Of each step. */
  losses: number[];
  /** Seconds of each step by the clock, the first with what is compiled for it. */
  steps: number[];
  /** From the request to the result. */
  seconds: number;
}

/** Trains in an engine of its own, on rows that fill the context, and measures. */
export function measureTraining(
  modelFolder: string,
  vocabularySize: number,
  given: TrainConfigInput,
): Promise<MeasuredTraining> {
  const { context, batch, accumulate } = trainConfigSchema.parse(given);
  const random = createRandom(3);
  const row = (): TokenRow => ({
    ids: Int32Array.from({ length: context }, () => 3 + random.integer(vocabularySize - 3)),
    trained: new Uint8Array(context).fill(1),
  });
  return measureRows(modelFolder, Array.from({ length: batch * accumulate }, row), given);
}

/** The same on rows that are given. */
export async function measureRows(
  modelFolder: string,
  rows: readonly TokenRow[],
  given: TrainConfigInput,
): Promise<MeasuredTraining> {
  const folder = mkdtempSync(join(tmpdir(), 'id-lora-measured-'));
  const host = createEngineHost();
  try {
    const config = trainConfigSchema.parse({ checkpointEvery: 0, heldOutFraction: 0, ...given });
    const trainFile = join(folder, 'train.tokens');
    writeTokenFile(trainFile, rows);
    const begin = performance.now();
    let last = begin;
    let loadSeconds = 0;
    const steps: number[] = [];
    const losses: number[] = [];
    const job = host.start(
      {
        kind: 'train',
        modelFolder,
        trainFile,
        heldOutFile: null,
        config,
        checkpointFolder: join(folder, 'checkpoints'),
        cacheFolder: join(folder, 'cache'),
        resumeFrom: null,
      },
      {
        onEvent(event) {
          const now = performance.now();
          if (event.type === 'start') loadSeconds = (now - begin) / 1000;
          if (event.type === 'step') {
            steps.push((now - last) / 1000);
            losses.push(event.loss);
          }
          if (event.type === 'step' || event.type === 'start') last = now;
        },
      },
    );
    const { peakMemoryBytes } = await job.result;
    const seconds = (performance.now() - begin) / 1000;
    return { config, peakMemoryBytes, loadSeconds, steps, losses, seconds };
  } finally {
    host.close();
    rmSync(folder, { recursive: true, force: true });
  }
}
