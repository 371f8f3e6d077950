import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { trainConfigSchema } from '../../src-main/contract/training.ts';
import { storedValue } from '../../src-main/engine/adapters/storedValues.ts';
import { openLogitsGraph } from '../../src-main/engine/inference/wholeLogits.ts';
import { ModelGraph } from '../../src-main/engine/model/modelGraph.ts';
import { loadTensorflow } from '../../src-main/engine/runtime/loadTensorflow.ts';
import { layOutBatch } from '../../src-main/engine/training/batches.ts';
import { optimiserStep } from '../../src-main/engine/training/optimiserStep.ts';
import { openTrainingGraph } from '../../src-main/engine/training/trainingGraph.ts';
import { readDecoderConfig } from '../../src-main/formats/huggingFaceConfig.ts';
import { openAdapterFolder } from '../../src-main/formats/peftAdapter.ts';
import { SafetensorsFile } from '../../src-main/formats/safetensors.ts';
import { WeightFolder } from '../../src-main/formats/weightFolder.ts';
import { floats, maxDifference, relativeError } from '../support/recordedValues.ts';
import { fixtures, hasSharedData, recorded, sharedData, sharedNote } from '../support/paths.ts';

const { tf } = loadTensorflow();

interface Summary {
  /** Fixture folder of the base model. */
  model: string;
  loss: number;
  rows: number[][];
  prompts: number[];
  curve?: { losses: number[]; norms: number[] };
}

/** A training session on tiny-llama with the adapter and the batch of a recorded case. */
async function openCase(name: string, options: { fusion: boolean; accumulate?: number; batch?: number }) {
  const folder = join(recorded, name);
  const summary = JSON.parse(readFileSync(join(folder, 'summary.json'), 'utf8')) as Summary;
  const values = new SafetensorsFile(join(folder, 'values.safetensors'), 'internal');
  const source = new WeightFolder(join(fixtures, summary.model));
  const adapter = openAdapterFolder(join(folder, 'adapter'));
  const model = new ModelGraph({
    config: readDecoderConfig(join(fixtures, summary.model)),
    source,
    precision: 'f32',
    adapter: adapter.config,
    fusion: options.fusion,
  });
  const config = trainConfigSchema.parse({
    adapter: adapter.config,
    learningRate: 2e-3,
    weightDecay: 0.01,
    clipNorm: 1,
    accumulate: options.accumulate ?? 1,
  });
  const rows = summary.rows.map((ids, i) => ({
    ids: Int32Array.from(ids),
    trained: Uint8Array.from(ids, (_, t) => (t >= summary.prompts[i]! ? 1 : 0)),
  }));
  const layout = { batch: options.batch ?? 3, tokens: 24 };
  const graph = await openTrainingGraph(tf, model, config, layout, {
    exposeGradients: options.accumulate === undefined,
  });
  graph.loadWeights();
  graph.session.run('zero', {});
  for (const parameter of model.adapterParameters)
    graph.assign(parameter.variable, storedValue(parameter, adapter));
  return { summary, values, model, graph, rows, layout, config };
}

const cases = [
  'lora',
  'dora',
  'hydralora',
  'moelora',
  'idlora-input-s2',
  'idlora-pivot-s2',
  'idlora-linear-s1',
  'idlora-input-s4',
];

/** Other families and configurations: sliding window, biases, q/k norms, tied embeddings, rope scaling. */
const families = [
  'lora-tiny-mistral',
  'lora-tiny-qwen2',
  'lora-tiny-qwen3',
  'lora-tiny-llama-rope',
  'lora-tiny-llama-yarn',
  'lora-tiny-llama-linear',
  'idlora-tiny-qwen2',
  'idlora-tiny-qwen3',
  'idlora-tiny-llama-rope',
];

describe.each([
  ['plain', false],
  ['XLA functions', true],
])('against PyTorch, %s graph', (_label, fusion) => {
  it.each(fusion ? cases : [...cases, ...families])('%s: loss and every adapter gradient', async (name) => {
    const { summary, values, model, graph, rows, layout } = await openCase(name, { fusion });
    const batch = layOutBatch(rows, layout.batch, layout.tokens);
    const out = graph.session.run('gradients', {
      ids: batch.ids,
      labels: batch.labels,
      seed: Int32Array.of(0, 0),
      lossScale: Float32Array.of(1 / batch.labelled),
    });
    expect(out['lossSum']![0]! / batch.labelled).toBeCloseTo(summary.loss, 4);
    const trainable = model.adapterParameters.filter(({ spec }) => spec.trainable);
    expect(trainable.length).toBeGreaterThanOrEqual(28);
    expect(trainable.map(({ variable }) => `base_model.model.${variable.name}`).toSorted()).toEqual(
      [...values.tensors.keys()].filter((key) => key !== 'logits').toSorted(),
    );
    for (const { variable } of trainable) {
      const expected = floats(values, `base_model.model.${variable.name}`);
      expect(relativeError(out[variable.name] as Float32Array, expected), variable.name).toBeLessThan(1e-4);
    }
    graph.session.close();
  });
});

it.each(['lora', 'dora', 'hydralora', 'moelora', 'idlora-input-s2'])(
  '%s: 100 steps of AdamW with decay and clipping follow torch',
  async (name) => {
    const { summary, graph, rows, layout, config } = await openCase(name, { fusion: false });
    const batch = layOutBatch(rows, layout.batch, layout.tokens);
    summary.curve!.losses.forEach((loss, i) => {
      const out = optimiserStep(graph, config, [batch], { step: i + 1, update: i + 1, learningRate: 2e-3 });
      expect(Math.abs(out.loss / loss - 1), `loss of step ${i + 1}`).toBeLessThan(1e-3);
      // Norms of small gradients late in a run amplify f32 rounding; the loss does not.
      expect(Math.abs(out.gradNorm / summary.curve!.norms[i]! - 1), `norm of step ${i + 1}`).toBeLessThan(
        1e-2,
      );
    });
    graph.session.close();
  },
);

it('accumulation over single rows equals the whole batch, though rows have different numbers of labels', async () => {
  const { summary, graph, rows, config } = await openCase('lora', { fusion: false, accumulate: 3, batch: 1 });
  const batches = rows.map((row) => layOutBatch([row], 1, 24));
  for (let step = 1; step <= 5; step++) {
    const out = optimiserStep(graph, config, batches, { step, update: step, learningRate: 2e-3 });
    expect(Math.abs(out.loss / summary.curve!.losses[step - 1]! - 1)).toBeLessThan(1e-3);
    expect(Math.abs(out.gradNorm / summary.curve!.norms[step - 1]! - 1)).toBeLessThan(1e-3);
  }
  graph.session.close();
});

async function logitsOf(folder: string, ids: number[], adapterFolder: string | null): Promise<Float32Array> {
  const source = new WeightFolder(folder);
  const adapter = adapterFolder === null ? null : openAdapterFolder(adapterFolder);
  const model = new ModelGraph({
    config: readDecoderConfig(folder),
    source,
    precision: 'f32',
    adapter: adapter?.config ?? null,
    fusion: false,
  });
  const graph = await openLogitsGraph(tf, model, ids.length);
  graph.assignment.loadWeights(graph.session);
  for (const parameter of model.adapterParameters)
    graph.assignment.assign(graph.session, parameter.variable, storedValue(parameter, adapter!));
  const pieces = [...graph.read(Int32Array.from(ids))];
  graph.session.close();
  source.close();
  adapter?.tensors.close();
  return Float32Array.from(pieces.flatMap((piece) => [...piece]));
}

it.each([...cases, ...families])('%s: logits with the adapter, loaded from its folder', async (name) => {
  const folder = join(recorded, name);
  const { rows, model } = JSON.parse(readFileSync(join(folder, 'summary.json'), 'utf8')) as Summary;
  const values = new SafetensorsFile(join(folder, 'values.safetensors'), 'internal');
  const actual = await logitsOf(join(fixtures, model), rows[0]!, join(folder, 'adapter'));
  // PyTorch computes explicit A_i = W[S_i]; we gather from the base output.
  expect(maxDifference(actual, floats(values, 'logits'))).toBeLessThan(1e-4);
});

it('a sharded model gives the same logits as the single file, bit for bit', async () => {
  const ids = [1, 5, 9, 40, 77, 3];
  const single = await logitsOf(join(fixtures, 'tiny-llama'), ids, null);
  const sharded = await logitsOf(join(fixtures, 'tiny-llama-sharded'), ids, null);
  expect(sharded).toEqual(single);
});

it.skipIf(!hasSharedData)(
  `stories260K: logits equal transformers' over 256 tokens${sharedNote}`,
  async () => {
    const file = new SafetensorsFile(join(recorded, 'stories260k.safetensors'), 'internal');
    const ids = [...new Int32Array(file.read('ids').buffer)];
    const all = await logitsOf(sharedData('stories260K-hf'), ids, null);
    const expected = floats(file, 'logits');
    const everyEighth = expected.map((_, i) => all[Math.floor(i / 512) * 8 * 512 + (i % 512)]!);
    expect(maxDifference(everyEighth, expected)).toBeLessThan(1e-4);
  },
);
