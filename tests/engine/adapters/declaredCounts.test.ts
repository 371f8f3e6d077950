import { describe, expect, it } from 'vitest';
import { countParameters } from '../../../src-main/budget/count.ts';
import { presets } from '../../../src-main/shape/modelShape.ts';
import { adapterConfigSchema, type AdapterConfig, type Method } from '../../../src-main/contract/training.ts';
import type { WeightSource } from '../../../src-main/engine/model/weightSource.ts';
import { ModelGraph } from '../../../src-main/engine/model/modelGraph.ts';
import { llamaConfig } from '../../../src-main/formats/families/decoderConfig.ts';

/** Shapes are all that is needed: no weight is ever read. */
const noWeights: WeightSource = {
  info: () => null,
  read: (name) => {
    throw new Error(`${name} was read`);
  },
};

/** Counts the variables that a graph declares for an adapter. */
function declared(model: string, adapter: AdapterConfig): { trainable: number; frozenExtra: number } {
  const graph = new ModelGraph({
    config: llamaConfig(presets[model]!, 8),
    source: noWeights,
    precision: 'bf16',
    adapter,
    fusion: false,
  });
  return { trainable: graph.trainableCount(), frozenExtra: graph.frozenExtraCount() };
}

const adapterOf = (method: Method, rank: number, more: object = {}) =>
  adapterConfigSchema.parse({ method, rank, alpha: 2 * rank, ...more });
const ranks = [8, 16, 32, 64, 128];

/** method.md's formulas per module, written down once more: r, d_in, d_out -> trainable. */
const published: Record<Exclude<Method, 'full'>, (r: number, i: number, o: number) => number> = {
  lora: (r, i, o) => r * (i + o),
  dora: (r, i, o) => r * (i + o) + o,
  hydralora: (r, i, o) => r * i + 3 * r * o + 3 * i,
  moelora: (r, i, o) => 4 * r * (i + o) + 4 * i,
  idlora: (r, i, o) => (o / 2) * (r / 2) + 4 * i,
};
/** [d_in, d_out] of q, k, v, o, gate, up, down, and layers (method.md). */
const linears: Record<string, { layers: number; modules: [number, number][] }> = Object.fromEntries(
  (
    [
      ['llama-3-8b', 4096, 1024, 14336, 32],
      ['mistral-7b', 4096, 1024, 14336, 32],
      ['llama-3.2-3b', 3072, 1024, 8192, 28],
    ] as const
  ).map(([name, h, kv, m, layers]) => [
    name,
    {
      layers,
      modules: [
        [h, h],
        [h, kv],
        [h, kv],
        [h, h],
        [h, m],
        [h, m],
        [m, h],
      ],
    },
  ]),
);

describe.each(Object.entries(linears))(
  '%s: variables that the graph declares',
  (model, { layers, modules }) => {
    it.each(Object.entries(published))('%s, ranks 8 to 128', (method, formula) => {
      for (const rank of ranks) {
        const adapter = adapterOf(method as Method, rank);
        const counted = declared(model, adapter);
        const expected = layers * modules.reduce((sum, [i, o]) => sum + formula(rank, i, o), 0);
        const extra = method === 'idlora' ? layers * modules.reduce((sum, [i]) => sum + 4 * rank * i, 0) : 0;
        expect(counted, `rank ${rank}`).toEqual({ trainable: expected, frozenExtra: extra });
        expect(countParameters(presets[model]!, adapter)).toMatchObject(counted);
      }
    });
  },
);

it('LLaMA-3-8B: Table 6 of the paper in millions, cut as it is printed', () => {
  const table: [Method, string][] = [
    ['lora', '21.0 41.9 83.9 167.8 335.5'],
    ['dora', '22.3 43.3 85.3 169.1 336.9'],
    ['hydralora', '46.7 89.7 175.7 347.7 691.6'],
    ['moelora', '88.9 172.8 340.5 676.1 1347.2'],
    ['idlora', '7.7 10.5 16.0 27.0 49.0'],
  ];
  for (const [method, line] of table)
    expect(
      ranks
        .map((rank) => (declared('llama-3-8b', adapterOf(method, rank)).trainable / 1e6).toFixed(1))
        .join(' '),
    ).toBe(line);
});

it.each<[string, Method, object]>([
  ['pivot router', 'idlora', { router: 'pivot' }],
  ['fixed route', 'idlora', { router: 'fixed' }],
  ['Gaussian bases', 'idlora', { pivots: 'gaussian' }],
  ['singular vectors', 'idlora', { pivots: 'svd', clusters: 2 }],
  ['16 clusters, boost 4', 'idlora', { clusters: 16, boost: 4 }],
  ['one cluster, boost 1', 'idlora', { clusters: 1, boost: 1 }],
  ['5 heads', 'hydralora', { heads: 5 }],
  ['some modules of some layers', 'dora', { targets: ['k_proj', 'down_proj'], layers: [0, 3, 27] }],
  ['ranks by pattern', 'idlora', { rankPattern: { 'layers.[0-9].mlp..*': 4, q_proj: 32 } }],
  ['task gate', 'moelora', { gate: 'task', tasks: 6, experts: 8 }],
])('%s: the graph declares what the budget counts', (_, method, more) => {
  for (const model of ['llama-3.2-3b', 'qwen3-0.6b']) {
    const adapter = adapterOf(method, 8, more);
    expect(countParameters(presets[model]!, adapter)).toMatchObject(declared(model, adapter));
  }
});

it('the task gate counts one embedding and one gate for the whole model', () => {
  const shape = presets['llama-3.2-3b']!;
  const byTask = countParameters(shape, adapterOf('moelora', 8, { gate: 'task', tasks: 6, experts: 4 }));
  const lora = countParameters(shape, adapterOf('lora', 8));
  expect(byTask.trainable).toBe(lora.trainable + 7 * 64 + 4 * 64);
});
