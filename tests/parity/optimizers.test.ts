import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { trainConfigSchema, type TrainConfigInput } from '../../src-main/contract/training.ts';
import { storedValue } from '../../src-main/engine/adapters/storedValues.ts';
import { ModelGraph } from '../../src-main/engine/model/modelGraph.ts';
import { loadTensorflow } from '../../src-main/engine/runtime/loadTensorflow.ts';
import { layOutBatch } from '../../src-main/engine/model/batches.ts';
import { optimizerStep } from '../../src-main/engine/training/optimizerStep.ts';
import { openTrainingGraph } from '../../src-main/engine/training/trainingGraph.ts';
import { readDecoderConfig } from '../../src-main/formats/families/huggingFaceConfig.ts';
import { openAdapterFolder } from '../../src-main/formats/adapter/peftAdapter.ts';
import { WeightFolder } from '../../src-main/formats/model/weightFolder.ts';
import { expectWithin } from '../support/parity/parityBounds.ts';
import { layoutsOf } from '../support/parity/parityCase.ts';
import { recorded, tinyLlama } from '../support/paths.ts';

interface Curve {
  method: string;
  name: string;
  config: Partial<TrainConfigInput>;
  losses: number[];
  norms: number[];
}
const folder = join(recorded, 'optimizers');
const { rows, curves } = JSON.parse(readFileSync(join(folder, 'curves.json'), 'utf8')) as {
  rows: number[][];
  curves: Curve[];
};

it.each(curves.map((curve) => [`${curve.method}, ${curve.name}`, curve] as const))(
  '%s: losses and gradient norms of 40 steps in torch and PEFT',
  async (label, curve) => {
    const adapter = openAdapterFolder(join(folder, curve.method));
    const source = new WeightFolder(tinyLlama);
    const model = new ModelGraph({
      config: readDecoderConfig(tinyLlama),
      source,
      precision: 'f32',
      adapter: adapter.config,
      fusion: false,
    });
    const config = trainConfigSchema.parse({ adapter: adapter.config, ...curve.config });
    const layout = { batch: rows.length, tokens: rows[0]!.length };
    const graph = await openTrainingGraph(loadTensorflow().tf, model, config, layoutsOf([layout]));
    graph.session.loadWeights();
    graph.session.run('zero', {});
    for (const parameter of model.adapterParameters)
      graph.session.assign(parameter.variable, storedValue(parameter, adapter));
    const batch = layOutBatch(
      rows.map((ids) => ({ ids: Int32Array.from(ids), trained: new Uint8Array(ids.length).fill(1) })),
      layout.batch,
      layout.tokens,
    );
    curve.losses.forEach((loss, i) => {
      const at = { step: i + 1, update: i + 1, learningRate: config.learningRate };
      const out = optimizerStep(graph, config, [batch], at);
      expect(out.applied).toBe(true);
      const step = `${label}, step ${i + 1}`;
      expectWithin('loss curve', step, Math.abs(out.loss / loss - 1));
      expectWithin('norm curve', step, Math.abs(out.gradNorm / curve.norms[i]! - 1));
    });
    graph.session.close();
    source.close();
    adapter.tensors.close();
  },
);
