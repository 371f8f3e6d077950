import { describe, expect, it } from 'vitest';
import { adapterConfigSchema } from '../../../src-main/contract/training.ts';
import { fusedOne } from '../../../src-main/engine/graph/fused.ts';
import { gradients } from '../../../src-main/engine/graph/gradients.ts';
import { Graph, type Tensor } from '../../../src-main/engine/graph/graph.ts';
import { cast, scale } from '../../../src-main/engine/graph/ops/elementwise.ts';
import { openSession } from '../../../src-main/engine/graph/session.ts';
import { cachedAttention } from '../../../src-main/engine/model/attention.ts';
import { decoderHidden } from '../../../src-main/engine/model/decoder.ts';
import { dropOut } from '../../../src-main/engine/model/dropout.ts';
import { methodOps } from '../../../src-main/engine/model/methodOps.ts';
import { loadTensorflow } from '../../../src-main/engine/runtime/loadTensorflow.ts';
import { llamaConfig } from '../../../src-main/formats/families/decoderConfig.ts';
import { asFloat32, asStored } from '../../../src-main/formats/files/floats.ts';
import { lora } from '../../../src-main/methods/lora.ts';
import { createRandom } from '../../../src-main/statistics/random.ts';

/** Numbers in bf16 that are multiplied by a constant c are x c, rounded once: c is not rounded before. */
const rounded = (values: readonly number[]) => [
  ...asFloat32(asStored(Float32Array.from(values), 'BF16'), 'BF16'),
];
const random = createRandom(3);
const count = 512;
const x = rounded(Array.from({ length: count }, () => 4 * random.next() - 2));
const times = (factor: number) => rounded(x.map((value) => value * factor));

/** What a graph makes of x in bf16, as f32. */
async function outcome(build: (value: Tensor) => Tensor, fusion = false): Promise<number[]> {
  const graph = new Graph({ fusion });
  const value = graph.placeholder('x', [count, 1], 'f32');
  const out = cast(build(cast(value, 'bf16')), 'f32');
  const session = await openSession(loadTensorflow().tf, graph, {
    run: { inputs: { x: value }, outputs: { out } },
  });
  const result = session.run('run', { x: Float32Array.from(x) }).out;
  session.close();
  return [...result];
}

describe.each([
  ['plain', false],
  ['XLA functions', true],
])('in bf16 the product with a constant is rounded once, %s graph', (_, fusion) => {
  it.each([2, 0.3, 16 / Math.sqrt(8), 1 / 0.95])('scale by %s, and its gradient', async (factor) => {
    expect(await outcome((value) => scale(value, factor), fusion)).toEqual(times(factor));
    expect(
      await outcome(
        (value) => fusedOne(`scaled_${factor}`, [value], ([inner]) => scale(inner!, factor)),
        fusion,
      ),
    ).toEqual(times(factor));
    const gradient = (value: Tensor) => gradients([scale(value, factor)], [value], [value])[0]!;
    expect(await outcome(gradient, fusion)).toEqual(times(factor));
  });

  it('the factor of an adapter (rsLoRA: alpha / sqrt(r))', async () => {
    const config = adapterConfigSchema.parse({ method: 'lora', rank: 3, alpha: 5, rankStabilized: true });
    const update = (value: Tensor) => {
      // A picks the one input, B the first direction.
      const matrix = (shape: [number, number]) => cast(value.graph.constant([1, 0, 0], 'f32', shape), 'bf16');
      return lora.forward(methodOps, {
        config,
        shape: { dIn: 1, dOut: 1 },
        rows: count,
        x: value,
        base: value,
        weight: value,
        weightRows: () => value,
        product: () => value,
        taskSelection: null,
        parameter: (suffix) => matrix(suffix === 'lora_A.weight' ? [3, 1] : [1, 3]),
        dropout: (input) => input,
      })[1]!;
    };
    expect(await outcome(update, fusion)).toEqual(times(5 / Math.sqrt(3)));
  });

  it.each([0.05, 0.1])('what dropout of %s keeps', async (p) => {
    const dropped = await outcome((value) => {
      const seed = value.graph.constant([1, 2], 'i32');
      return dropOut(value, { site: { layer: 0, module: 'q_proj' }, seed, p });
    }, fusion);
    const kept = dropped.flatMap((value, i) => (value === 0 ? [] : [i]));
    expect(kept.length).toBeGreaterThan(count / 2);
    const expected = times(1 / (1 - p));
    expect(kept.map((i) => dropped[i])).toEqual(kept.map((i) => expected[i]));
  });
});

it.each([
  ['Granite: a number', false, 12.3],
  // transformers makes the scale a tensor of the compute type.
  ['Gemma: rounded itself', true, rounded([12.3])[0]!],
])(
  'the scale of embeddings is what transformers makes of it; %s',
  async (_, roundsEmbeddingScale, factor) => {
    const sizes = {
      hiddenSize: 1,
      intermediateSize: 1,
      layers: 1,
      heads: 1,
      keyValueHeads: 1,
      headDim: 2,
      vocabularySize: count,
      tieEmbeddings: false,
      queryKeyValueBias: false,
      outputBias: false,
      mlpBias: false,
      queryKeyNorm: 'none' as const,
      normPlacement: 'before' as const,
      fusedProjections: false,
    };
    const config = { ...llamaConfig(sizes, 8), embeddingScale: 12.3, roundsEmbeddingScale };
    const embedded = await outcome((value) => {
      let stream: readonly Tensor[] = [];
      const ids = value.graph.constant([...Array(count).keys()], 'i32');
      decoderHidden(
        {
          config,
          dtype: 'bf16',
          weight: (name) => (name.includes('embed') ? value : value.graph.constant([1])),
          linear: () => [],
          attend: () => value,
          aroundLayer: (terms) => (stream = terms),
        },
        ids,
        { batch: 1, tokens: count },
        [],
      );
      return stream[0]!;
    });
    expect(embedded).toEqual(times(factor));
  },
);

it('layers with different attention scales share no compiled weights', async () => {
  const graph = new Graph({ fusion: true });
  const q = graph.placeholder('q', [1, 1, 1, 4], 'f32');
  const cache = graph.placeholder('cache', [1, 1, 3, 4], 'f32');
  const whole = { shared: graph.constant([0]), start: graph.constant([0]) };
  const attend = (factor: number) =>
    cachedAttention(q, cache, cache, graph.constant(2), whole, {
      scale: factor,
      softcap: null,
      window: null,
    });
  const [low, high] = [attend(0.25), attend(2)];
  const session = await openSession(loadTensorflow().tf, graph, {
    run: { inputs: { q, cache }, outputs: { low, high } },
  });
  const keys = Float32Array.from({ length: 12 }, () => random.normal());
  const query = Float32Array.from({ length: 4 }, () => random.normal());
  const out = session.run('run', { q: query, cache: keys });
  session.close();
  for (const [name, factor] of [
    ['low', 0.25],
    ['high', 2],
  ] as const) {
    const weights = [0, 1, 2].map((key) =>
      Math.exp(factor * query.reduce((total, value, i) => total + value * keys[4 * key + i]!, 0)),
    );
    const total = weights.reduce((a, b) => a + b, 0);
    out[name].forEach((value, i) =>
      expect(value, name).toBeCloseTo(
        weights.reduce((sum, weight, key) => sum + (weight / total) * keys[4 * key + i]!, 0),
        5,
      ),
    );
  }
});
