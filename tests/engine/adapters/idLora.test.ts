import { expect, it } from 'vitest';
import { adapterConfigSchema } from '../../../src-main/contract/training.ts';
import { openLogitsGraph } from '../../../src-main/engine/inference/logits.ts';
import { initialValue } from '../../../src-main/engine/adapters/initialValues.ts';
import { PivotChooser } from '../../../src-main/engine/adapters/pivots/pivots.ts';
import { ModelGraph } from '../../../src-main/engine/model/modelGraph.ts';
import { loadTensorflow } from '../../../src-main/engine/runtime/loadTensorflow.ts';
import { readDecoderConfig } from '../../../src-main/formats/families/huggingFaceConfig.ts';
import { WeightFolder } from '../../../src-main/formats/model/weightFolder.ts';
import { tinyLlama } from '../../support/trainingRun.ts';

const ids = Int32Array.from([1, 20, 33, 47, 5, 90, 14]);

async function logits(
  adapter: Parameters<typeof adapterConfigSchema.parse>[0] | null,
  precision: 'f32' | 'bf16',
) {
  const source = new WeightFolder(tinyLlama);
  const parsed = adapter === null ? null : adapterConfigSchema.parse(adapter);
  const config = readDecoderConfig(tinyLlama);
  const model = new ModelGraph({ config, source, precision, adapter: parsed, fusion: false });
  const graph = await openLogitsGraph(loadTensorflow().tf, model, ids.length);
  graph.session.loadWeights();
  const chooser = new PivotChooser(loadTensorflow().tf);
  for (const parameter of model.adapterParameters)
    graph.session.assign(
      parameter.variable,
      await initialValue(parameter, source, 3, { chooser, cacheFolder: null }),
    );
  chooser.close();
  const [piece] = [...graph.read(ids)];
  graph.session.close();
  source.close();
  return piece;
}

it.each(['f32', 'bf16'] as const)(
  '%s: a fresh adapter (B = 0) leaves the base exactly as it is',
  async (precision) => {
    const base = await logits(null, precision);
    const rank4 = { rank: 4, alpha: 8 };
    expect(await logits({ method: 'lora', ...rank4 }, precision)).toEqual(base);
    expect(await logits({ method: 'idlora', ...rank4, clusters: 3 }, precision)).toEqual(base);
    expect(await logits({ method: 'idlora', ...rank4, clusters: 3, router: 'pivot' }, precision)).toEqual(
      base,
    );
  },
);
