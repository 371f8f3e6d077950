import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { TrainConfigInput } from '../../../../src-main/contract/training.ts';
import { bytesPerElement, elementCount } from '../../../../src-main/engine/graph/dtype.ts';
import { Graph } from '../../../../src-main/engine/graph/graph.ts';
import { effectEntry, openSession } from '../../../../src-main/engine/graph/session.ts';
import {
  assignVariable,
  createVariable,
  fill,
  readVariable,
} from '../../../../src-main/engine/graph/variables.ts';
import { loadTensorflow } from '../../../../src-main/engine/runtime/loadTensorflow.ts';
import { adamW8bit } from '../../../../src-main/engine/training/optimizers/adamW8bit.ts';
import { parameterUpdate } from '../../../../src-main/engine/training/parameterUpdate.ts';
import { createRandom } from '../../../../src-main/statistics/random.ts';
import { SafetensorsFile } from '../../../../src-main/formats/files/safetensors.ts';
import { temporaryFolder } from '../../../support/temporaryFolder.ts';
import { checkpointFiles, lossesOf, trainTiny } from '../../../support/trainingRun.ts';

/** Rank 96 gives most matrices of tiny-llama more than 4,096 numbers, so that adamw8bit quantizes them. */
const wide: TrainConfigInput = {
  adapter: { method: 'lora', rank: 96, alpha: 96, dropout: 0 },
  learningRate: 2e-3,
  schedule: 'constant',
  maxSteps: 8,
  batch: 3,
  context: 32,
  seed: 5,
  heldOutRows: 0,
  checkpointEvery: 0,
};

const random = createRandom(3);
const weightsAtStart = Float32Array.from({ length: 70 * 100 }, () => random.next() - 0.5);
const someGradients = weightsAtStart.map(() => (random.next() - 0.5) ** 5);

/** Two weights of [70, 100] after three updates of 8-bit AdamW. */
async function updated(fusion: boolean) {
  const graph = new Graph({ fusion });
  const variables = ['a', 'b'].map((name) => createVariable(graph, name, [70, 100], 'f32'));
  const optimizer = adamW8bit({ beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.1 });
  const parameters = variables.map((variable) => ({ variable, rateFactor: 1 }));
  const update = parameterUpdate(graph, optimizer, { clipNorm: 0.5, learningRate: 1e-2 }, parameters);
  const weights = graph.placeholder('weights', [70, 100], 'f32');
  const gradient = graph.placeholder('gradient', [70, 100], 'f32');
  const set = effectEntry(graph, [
    ...variables.map((variable) => assignVariable(variable, weights)),
    ...update.state.map((state) => assignVariable(state, fill(graph, state.shape, 0, state.dtype))),
  ]);
  const start = { inputs: { weights }, outputs: set.outputs };
  const moved = update.update([gradient, gradient], graph.constant(1));
  const step = { inputs: { gradient, ...update.scalars }, outputs: { applied: moved.applied } };
  const read = { inputs: {}, outputs: { weights: readVariable(variables[1]!) } };
  const session = await openSession(loadTensorflow().tf, graph, { start, step, read });
  session.run('start', { weights: weightsAtStart });
  for (const at of [1, 2, 3]) {
    const scalars = Object.entries(optimizer.scalars(1e-2, at));
    const fed = Object.fromEntries(scalars.map(([name, value]) => [name, Float32Array.of(value)]));
    const changed = someGradients.map((value, i) => value * Math.cos(at * i));
    expect(session.run('step', { gradient: changed, ...fed }).applied[0]).toBe(1);
  }
  const out = session.run('read', {});
  session.close();
  return { weights: [...out.weights], functions: [...graph.functions.keys()] };
}

describe('adamw8bit', () => {
  const config = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0 };

  it('keeps two bytes a parameter and two scales a block of 256', () => {
    const graph = new Graph({ fusion: false });
    const { state } = adamW8bit(config).attach(createVariable(graph, 'w', [512, 1024], 'f32'), 1);
    const bytes = state.reduce((n, { shape, dtype }) => n + elementCount(shape) * bytesPerElement[dtype], 0);
    expect(bytes / (512 * 1024)).toBe(2 + 8 / 256);
  });

  it('keeps the moments of small tensors in f32', () => {
    const graph = new Graph({ fusion: false });
    const { state } = adamW8bit(config).attach(createVariable(graph, 'w', [63, 65], 'f32'), 1);
    expect(state.map(({ dtype, shape }) => [dtype, shape])).toEqual([
      ['f32', [63, 65]],
      ['f32', [63, 65]],
    ]);
  });

  it('moves weights as one compiled function as it does node by node, clipped and with a short last block', async () => {
    const [searched, compiled] = [await updated(false), await updated(true)];
    expect(compiled.functions.filter((name) => name.startsWith('update_clipped_1'))).toHaveLength(1);
    // The rate is 1e-2: a code that rounding puts on the other side moves one weight by less than a tenth of it.
    const off = compiled.weights.map((weight, i) => Math.abs(weight - searched.weights[i]!));
    expect(off.filter((difference) => difference > 1e-6).length).toBeLessThan(off.length / 100);
    expect(Math.max(...off)).toBeLessThan(1e-3);
    expect(compiled.weights.some((weight, i) => Math.abs(weight - weightsAtStart[i]!) > 1e-2)).toBe(true);
  });

  it('follows f32 AdamW within 2 % over 100 steps, and its checkpoint holds bytes', async () => {
    const config100 = { ...wide, learningRate: 5e-4, maxSteps: 100 };
    const exact = await trainTiny({ config: config100, folder: temporaryFolder() });
    const folder = temporaryFolder();
    const quantized = await trainTiny({ config: { ...config100, optimizer: 'adamw8bit' }, folder });
    const expected = lossesOf(exact.events);
    expect(expected.at(-1)!).toBeLessThan(0.7 * expected[0]!);
    lossesOf(quantized.events).forEach((loss, i) =>
      expect(Math.abs(loss / expected[i]! - 1), `step ${i + 1}`).toBeLessThan(0.02),
    );
    const state = new SafetensorsFile(
      join(quantized.result.checkpoint!, 'optimizer.safetensors'),
      'internal',
    );
    const name = 'model.layers.0.mlp.down_proj.lora_A.weight.moment_2';
    expect(state.tensors.get(`${name}.codes`)).toMatchObject({ dtype: 'U8', shape: [30, 256] });
    expect(state.tensors.get(`${name}.scales`)).toMatchObject({ dtype: 'F32', shape: [30, 1] });
    state.close();
  });
});

describe.each<[string, Partial<TrainConfigInput>]>([
  ['adamw8bit', { optimizer: 'adamw8bit' }],
  ['adamw8bit in bf16 with accumulation', { optimizer: 'adamw8bit', precision: 'bf16', accumulate: 2 }],
  ['sgd with momentum', { optimizer: 'sgd', momentum: 0.9, learningRate: 0.05 }],
  ['sgd without momentum', { optimizer: 'sgd', learningRate: 0.1 }],
  ['LoRA+', { loraPlusRatio: 16 }],
])('%s', (_name, changes) => {
  it('learns, and resumed equals uninterrupted bit for bit', async () => {
    const config = { ...wide, weightDecay: 0.01, ...changes, adapter: { ...wide.adapter, dropout: 0.1 } };
    const [whole, cut] = [temporaryFolder(), temporaryFolder()];
    const uninterrupted = await trainTiny({ config, folder: whole });
    const first = await trainTiny({ config, folder: cut, stopAfter: 3 });
    const second = await trainTiny({ config, folder: cut, resumeFrom: first.result.checkpoint });
    const expected = lossesOf(uninterrupted.events);
    expect(expected.at(-1)!).toBeLessThan(expected[0]!);
    expect([...lossesOf(first.events), ...lossesOf(second.events)]).toEqual(expected);
    expect(checkpointFiles(second.result.checkpoint!)).toEqual(
      checkpointFiles(uninterrupted.result.checkpoint!),
    );
  });
});

it('refuses to resume with another optimizer: its state is not there', async () => {
  const folder = temporaryFolder();
  const { result } = await trainTiny({ config: { ...wide, maxSteps: 1 }, folder });
  await expect(
    trainTiny({
      config: { ...wide, maxSteps: 2, optimizer: 'sgd' },
      folder,
      resumeFrom: result.checkpoint,
    }),
  ).rejects.toMatchObject({ code: 'config_invalid' });
  expect(readFileSync(join(result.checkpoint!, 'state.json'), 'utf8')).toContain('"step":1');
});
