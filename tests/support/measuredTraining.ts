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
import { nf4Block, nf4Entries, nf4Group, nf4ScaleMap, nf4Sizes } from '../../src-main/engine/model/nf4.ts';
import type { WeightSource } from '../../src-main/engine/model/weightSource.ts';
import { benchConfig, randomWeights } from '../../src-main/engine/bench/randomModel.ts';
import { createEngineHost } from '../../src-main/engine/process/supervisor.ts';
import { writeFileAtomic } from '../../src-main/formats/files/atomicFile.ts';
import { expectedWeights } from '../../src-main/formats/model/decoderWeights.ts';
import { writeSafetensors, type TensorToWrite } from '../../src-main/formats/files/safetensors.ts';
import { writeTokenFile, type TokenRow } from '../../src-main/formats/files/tokenFile.ts';

/** Writes a Llama with random bf16 weights of the given sizes. */
export function writeRandomModel(folder: string, shape: ModelShape, contextLength: number): void {
  mkdirSync(folder, { recursive: true });
  const config = benchConfig(shape, contextLength);
  writeSafetensors(
    join(folder, 'model.safetensors'),
    [...expectedWeights(config)].map(([name, sizes]) => storedWeight(name, sizes, randomWeights(config))),
  );
  writeLlamaConfig(folder, shape, contextLength);
}

/**
 * The same with linear weights as bitsandbytes stores them in NF4 with double quantization: random codes and scales,
 * which takes a tenth of the time and a quarter of the room of weights that are then quantized.
 */
export function writeRandomNf4Model(folder: string, shape: ModelShape, contextLength: number): void {
  mkdirSync(folder, { recursive: true });
  const config = benchConfig(shape, contextLength);
  const weights = randomWeights(config);
  const random = createRandom(5);
  const noise = Uint8Array.from({ length: 65_521 }, () => random.integer(256));
  const codes = (length: number) => ({
    dtype: 'U8' as const,
    shape: [length],
    data: () => {
      const bytes = new Uint8Array(length);
      for (let at = 0; at < length; at += noise.length) bytes.set(noise.subarray(0, length - at), at);
      return bytes;
    },
  });
  const floats = (values: readonly number[]) => ({
    dtype: 'F32' as const,
    shape: [values.length],
    data: new Uint8Array(Float32Array.from(values).buffer),
  });
  const packed = (name: string, sizes: readonly number[]): TensorToWrite[] => {
    const count = sizes.reduce((product, size) => product * size, 1);
    const { blocks, groups } = nf4Sizes(count);
    const state = Buffer.from(
      JSON.stringify({
        quant_type: 'nf4',
        blocksize: nf4Block,
        dtype: 'bfloat16',
        shape: sizes,
        nested_blocksize: nf4Group,
        nested_dtype: 'float32',
        nested_offset: 0.05,
      }),
    );
    return [
      { name, ...codes(count / 2) },
      { name: `${name}.absmax`, ...codes(blocks) },
      { name: `${name}.quant_map`, ...floats(nf4Entries) },
      { name: `${name}.nested_absmax`, ...floats(Array.from({ length: groups }, () => 0.01)) },
      { name: `${name}.nested_quant_map`, ...floats(nf4ScaleMap) },
      { name: `${name}.quant_state.bitsandbytes__nf4`, dtype: 'U8', shape: [state.length], data: state },
    ];
  };
  writeSafetensors(
    join(folder, 'model.safetensors'),
    [...expectedWeights(config)].flatMap(([name, sizes]) =>
      name.endsWith('_proj.weight') ? packed(name, sizes) : [storedWeight(name, sizes, weights)],
    ),
  );
  writeLlamaConfig(folder, shape, contextLength, {
    quantization_config: {
      quant_method: 'bitsandbytes',
      load_in_4bit: true,
      bnb_4bit_quant_type: 'nf4',
      bnb_4bit_use_double_quant: true,
      bnb_4bit_quant_storage: 'uint8',
    },
  });
}

function storedWeight(name: string, shape: readonly number[], weights: WeightSource): TensorToWrite {
  return { name, dtype: 'BF16', shape, data: () => weights.read(name) };
}

function writeLlamaConfig(
  folder: string,
  shape: ModelShape,
  contextLength: number,
  rest: Record<string, unknown> = {},
): void {
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
      ...rest,
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
