import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  quantizationOf,
  trainConfigSchema,
  type Precision,
  type TrainConfigInput,
} from '../../../src-main/contract/training.ts';
import { storedValue } from '../../../src-main/engine/adapters/storedValues.ts';
import { openLogitsGraph } from '../../../src-main/engine/inference/logits.ts';
import { ModelGraph } from '../../../src-main/engine/model/modelGraph.ts';
import { loadTensorflow } from '../../../src-main/engine/runtime/loadTensorflow.ts';
import { batchFeeds, layOutBatch } from '../../../src-main/engine/model/batches.ts';
import { openTrainingGraph } from '../../../src-main/engine/training/trainingGraph.ts';
import type { BatchLayout } from '../../../src-main/options/passLayouts.ts';
import { readDecoderConfig } from '../../../src-main/formats/families/huggingFaceConfig.ts';
import { adapterKey, openAdapterFolder } from '../../../src-main/formats/adapter/peftAdapter.ts';
import { SafetensorsFile } from '../../../src-main/formats/files/safetensors.ts';
import { WeightFolder } from '../../../src-main/formats/model/weightFolder.ts';
import { fixtures, recorded } from '../paths.ts';
import { computeBehindPages } from '../trainingRun.ts';

/** Losses and gradient norms of optimizer steps on one batch, recorded with PyTorch. */
export interface RecordedCurve {
  train: Omit<TrainConfigInput, 'adapter'>;
  losses: number[];
  norms: number[];
}

/** What tests/parity/generator/record.py wrote about a case. */
export interface ParitySummary {
  /** Fixture folder of the base model. */
  model: string;
  label: string;
  /** Trainable parameters, counted by PyTorch. */
  trainable: number;
  loss: number;
  rows: number[][];
  prompts: number[];
  /** Task of each row; only task-gated methods read it. */
  tasks: number[];
  curve?: RecordedCurve;
  curveBf16?: RecordedCurve;
}

export interface ParityCase extends ParitySummary {
  name: string;
}

/** All recorded cases, by name. */
export const parityCases: ParityCase[] = readdirSync(recorded)
  .filter((name) => existsSync(join(recorded, name, 'summary.json')))
  .toSorted()
  .map((name) => ({
    name,
    ...(JSON.parse(readFileSync(join(recorded, name, 'summary.json'), 'utf8')) as ParitySummary),
  }));

export function parityCase(name: string): ParityCase {
  const found = parityCases.find((known) => known.name === name);
  if (!found) throw new Error(`no recorded case ${name}`);
  return found;
}

/** Logits of the first row [tokens * vocabulary] and the gradients of a case. */
export function recordedValues(name: string): SafetensorsFile {
  return new SafetensorsFile(join(recorded, name, 'values.safetensors'), 'internal');
}

export interface OpenOptions {
  precision?: Precision;
  fusion?: boolean;
  train?: Omit<TrainConfigInput, 'adapter'>;
  batch?: number;
  /** Instead of one row of the batch for each row of the case; several: passes take the first that holds them. */
  layout?: BatchLayout | readonly BatchLayout[];
  exposeGradients?: boolean;
}

/** The adapter folder of a case, or null: full fine-tuning has none. */
export function adapterFolderOf(name: string): string | null {
  const folder = join(recorded, name, 'adapter');
  return existsSync(folder) ? folder : null;
}

/** Layouts of training, the first for what is held out, too. */
export function layoutsOf(training: readonly BatchLayout[]) {
  return { training, scoring: training[0]! };
}

/** A training session with the adapter and the batch of a case. */
export async function openParityCase(known: ParityCase, options: OpenOptions) {
  computeBehindPages();
  const folder = join(fixtures, known.model);
  const adapterFolder = adapterFolderOf(known.name);
  const adapter = adapterFolder === null ? null : openAdapterFolder(adapterFolder);
  const source = new WeightFolder(folder);
  const precision = options.precision ?? 'f32';
  const config = trainConfigSchema.parse({
    ...options.train,
    precision,
    adapter: adapter?.config ?? { method: 'full', rank: 1, alpha: 1 },
  });
  const model = new ModelGraph({
    config: readDecoderConfig(folder),
    source,
    precision,
    adapter: config.adapter,
    fusion: options.fusion ?? false,
    quantization: quantizationOf(config),
  });
  const rows = known.rows.map((row, i) => ({
    ids: Int32Array.from(row),
    trained: Uint8Array.from(row, (_, t) => (t >= known.prompts[i]! ? 1 : 0)),
    task: known.tasks[i]!,
  }));
  const layouts = [
    options.layout ?? {
      batch: options.batch ?? rows.length,
      tokens: Math.max(...rows.map(({ ids }) => ids.length)),
    },
  ].flat() as BatchLayout[];
  const layout = layouts[0]!;
  const graph = await openTrainingGraph(loadTensorflow().tf, model, config, layoutsOf(layouts), {
    exposeGradients: options.exposeGradients ?? false,
  });
  graph.session.loadWeights();
  graph.session.run('zero', {});
  for (const parameter of model.adapterParameters)
    graph.session.assign(parameter.variable, storedValue(parameter, adapter!));
  source.close();
  adapter?.tensors.close();
  const batch = layOutBatch(rows.slice(0, layout.batch), layout.batch, layout.tokens);
  return { model, graph, rows, layout, config, batch };
}

/** Loss (nats per token) and gradient of every trainable variable, by the key under which PyTorch's is recorded. */
export function lossAndGradients({ graph, batch, model }: Awaited<ReturnType<typeof openParityCase>>) {
  const { lossSum, ...gradients } = graph.session.run('gradients', {
    ...batchFeeds(batch),
    seed: Int32Array.of(0, 0),
    lossScale: Float32Array.of(1 / batch.labelled),
  });
  const isFull = model.adapter?.method === 'full';
  return {
    loss: lossSum[0]! / batch.labelled,
    gradients: new Map(
      Object.entries(gradients).map(([name, value]) => [isFull ? name : adapterKey(name), value]),
    ),
  };
}

/** f32 logits [tokens * vocabulary] of a model folder, with an adapter folder or without. */
export async function logitsOf(
  folder: string,
  ids: readonly number[],
  adapterFolder: string | null,
): Promise<Float32Array> {
  const source = new WeightFolder(folder);
  const adapter = adapterFolder === null ? null : openAdapterFolder(adapterFolder);
  const model = new ModelGraph({
    config: readDecoderConfig(folder),
    source,
    precision: 'f32',
    adapter: adapter?.config ?? null,
    fusion: false,
  });
  const graph = await openLogitsGraph(loadTensorflow().tf, model, ids.length);
  graph.session.loadWeights();
  for (const parameter of model.adapterParameters)
    graph.session.assign(parameter.variable, storedValue(parameter, adapter!));
  const pieces = [...graph.read(Int32Array.from(ids))];
  graph.session.close();
  source.close();
  adapter?.tensors.close();
  return Float32Array.from(pieces.flatMap((piece) => [...piece]));
}
