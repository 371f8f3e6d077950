import { describe, expect, it } from 'vitest';
import {
  adapterConfigSchema,
  type AdapterConfig,
  type Precision,
} from '../../../src-main/contract/training.ts';
import { initialValue } from '../../../src-main/engine/adapters/initialValues.ts';
import { PivotChooser } from '../../../src-main/engine/adapters/pivots/pivots.ts';
import { openLogitsGraph } from '../../../src-main/engine/inference/logits.ts';
import { ModelGraph, type AdapterParameter } from '../../../src-main/engine/model/modelGraph.ts';
import { loadTensorflow } from '../../../src-main/engine/runtime/loadTensorflow.ts';
import { readDecoderConfig } from '../../../src-main/formats/families/huggingFaceConfig.ts';
import { WeightFolder } from '../../../src-main/formats/model/weightFolder.ts';
import { adapterMethods } from '../../../src-main/methods/registry.ts';
import { modulePath } from '../../../src-main/shape/adapterSites.ts';
import { createRandom } from '../../../src-main/statistics/random.ts';
import { tinyLlama } from '../../support/paths.ts';

const { tf } = loadTensorflow();
const ids = Int32Array.from([1, 20, 33, 47, 5, 90, 14]);

/** tiny-llama with an adapter as it is before training, and what it computes. */
async function openFresh(adapter: AdapterConfig | null, precision: Precision) {
  const source = new WeightFolder(tinyLlama);
  const config = readDecoderConfig(tinyLlama);
  const model = new ModelGraph({ config, source, precision, adapter, fusion: false });
  const graph = await openLogitsGraph(tf, model, ids.length);
  graph.session.loadWeights();
  const chooser = new PivotChooser(tf);
  const initial = new Map<AdapterParameter, Uint8Array>();
  for (const parameter of model.adapterParameters)
    initial.set(parameter, await initialValue(parameter, source, 3, { chooser, cacheFolder: null }));
  chooser.close();
  const assign = (parameter: AdapterParameter, value: Uint8Array) =>
    graph.session.assign(parameter.variable, value);
  for (const [parameter, value] of initial) assign(parameter, value);
  return {
    initial,
    assign,
    logits: (): Float32Array => [...graph.read(ids)][0]!,
    close() {
      graph.session.close();
      source.close();
    },
  };
}

async function baseLogits(precision: Precision): Promise<Float32Array> {
  const base = await openFresh(null, precision);
  const logits = base.logits();
  base.close();
  return logits;
}

const rank4 = { rank: 4, alpha: 8 };
type Given = Partial<AdapterConfig> & Pick<AdapterConfig, 'method' | 'rank' | 'alpha'>;
const cases: Readonly<Record<string, Given>> = {
  lora: { method: 'lora', ...rank4 },
  'lora, rank-stabilized': { method: 'lora', ...rank4, rankStabilized: true },
  dora: { method: 'dora', ...rank4 },
  hydralora: { method: 'hydralora', ...rank4, heads: 2 },
  moelora: { method: 'moelora', ...rank4, experts: 2 },
  'moelora, task gate': { method: 'moelora', ...rank4, experts: 2, gate: 'task', tasks: 2 },
  idlora: { method: 'idlora', ...rank4, clusters: 3 },
  'idlora, pivot router': { method: 'idlora', ...rank4, clusters: 3, router: 'pivot' },
  'idlora, fixed route': { method: 'idlora', ...rank4, clusters: 3, router: 'fixed' },
  'idlora, Gaussian bases': { method: 'idlora', ...rank4, clusters: 3, pivots: 'gaussian' },
  'idlora, singular vectors': { method: 'idlora', ...rank4, clusters: 2, pivots: 'svd', router: 'pivot' },
  'LoRA-FA': { method: 'idlora', ...rank4, clusters: 1, boost: 1, pivots: 'gaussian', router: 'fixed' },
  'idlora, one cluster': { method: 'idlora', ...rank4, clusters: 1 },
};

it('every method has a case', () => {
  expect(new Set(Object.values(cases).map(({ method }) => method))).toEqual(
    new Set(Object.keys(adapterMethods)),
  );
});

const isZero = (value: Uint8Array) => value.every((byte) => byte === 0);

describe.each(Object.entries(cases))('%s', (_, given) => {
  const adapter = adapterConfigSchema.parse(given);

  it.each(['f32', 'bf16'] as const)(
    '%s: before training (B = 0) it leaves the base as it is; B of any module then changes what is computed',
    async (precision) => {
      const base = await baseLogits(precision);
      const { initial, assign, logits, close } = await openFresh(adapter, precision);
      try {
        const fresh = logits();
        // DoRA divides each row by its norm and multiplies by it again.
        if (adapter.method !== 'dora') expect(fresh).toEqual(base);
        else
          base.forEach((value, i) =>
            expect(Math.abs(fresh[i]! - value)).toBeLessThan(precision === 'f32' ? 1e-5 : 0.1),
          );

        const zeros = [...initial].filter(([{ place }, value]) => place !== null && isZero(value));
        const places = [...new Set(zeros.map(([{ place }]) => modulePath(place!.site)))];
        expect(places).toHaveLength(2 * 7);
        const random = createRandom(1);
        for (const path of places) {
          const own = zeros.filter(([{ place }]) => modulePath(place!.site) === path);
          for (const [parameter, value] of own)
            assign(
              parameter,
              new Uint8Array(Float32Array.from({ length: value.length / 4 }, () => random.normal()).buffer),
            );
          const changed = logits();
          expect(changed.every(Number.isFinite), path).toBe(true);
          const most = changed.reduce((found, value, i) => Math.max(found, Math.abs(value - fresh[i]!)), 0);
          expect(most, path).toBeGreaterThan(precision === 'f32' ? 1e-4 : 1e-2);
          for (const [parameter, value] of own) assign(parameter, value);
        }
        expect(logits()).toEqual(fresh);
      } finally {
        close();
      }
    },
  );
});
