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
import { writeTokenFile } from '../../src-main/formats/files/tokenFile.ts';

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
  /** Seconds of each step by the clock, the first with what is compiled for it. */
  steps: number[];
  /** From the request to the result. */
  seconds: number;
}

/** Trains in an engine of its own, on rows that fill the context, and measures. */
export async function measureTraining(
  modelFolder: string,
  vocabularySize: number,
  given: TrainConfigInput,
): Promise<MeasuredTraining> {
  const folder = mkdtempSync(join(tmpdir(), 'id-lora-measured-'));
  const host = createEngineHost();
  try {
    const config = trainConfigSchema.parse({ checkpointEvery: 0, heldOutFraction: 0, ...given });
    const random = createRandom(3);
    const row = () => ({
      ids: Int32Array.from({ length: config.context }, () => 3 + random.integer(vocabularySize - 3)),
      trained: new Uint8Array(config.context).fill(1),
    });
    const trainFile = join(folder, 'train.tokens');
    writeTokenFile(trainFile, Array.from({ length: config.batch * config.accumulate }, row));
    const begin = performance.now();
    let last = begin;
    const steps: number[] = [];
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
          if (event.type === 'step') steps.push((now - last) / 1000);
          if (event.type === 'step' || event.type === 'start') last = now;
        },
      },
    );
    const { peakMemoryBytes } = await job.result;
    return { config, peakMemoryBytes, steps, seconds: (performance.now() - begin) / 1000 };
  } finally {
    host.close();
    rmSync(folder, { recursive: true, force: true });
  }
}
