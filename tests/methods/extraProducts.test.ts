import { describe, expect, it } from 'vitest';
import { adapterConfigSchema, type AdapterConfig } from '../../src-main/contract/training.ts';
import { methodOps } from '../../src-main/engine/model/methodOps.ts';
import { gradients } from '../../src-main/engine/graph/gradients.ts';
import { Graph } from '../../src-main/engine/graph/graph.ts';
import { multiply } from '../../src-main/engine/graph/ops/elementwise.ts';
import { matmul } from '../../src-main/engine/graph/ops/linear.ts';
import type { LinearSize } from '../../src-main/methods/method.ts';
import { methodOf } from '../../src-main/methods/registry.ts';

const shape: LinearSize = { dIn: 24, dOut: 32 };

/** Multiply-adds of the MatMul nodes of a module's graph, forward or forward and backward. */
function built(adapter: AdapterConfig | null, rows: number, isTraining: boolean): number {
  const graph = new Graph({ fusion: false });
  let found = 0;
  const add = graph.addOperation.bind(graph);
  graph.addOperation = (options) => {
    const [left] = options.inputs;
    const transpose = options.attributes?.['transpose_a'];
    if (options.op === 'MatMul') {
      const inner = left!.shape[transpose?.kind === 'bool' && transpose.value ? 0 : 1]!;
      found += inner * options.outputs[0]!.shape.reduce((product, size) => product * size, 1);
    }
    return add(options);
  };
  const x = graph.placeholder('x', [rows, shape.dIn], 'f32');
  const weight = graph.placeholder('weight', [shape.dOut, shape.dIn], 'f32');
  const base = matmul(x, weight, { transposeY: true });
  const method = adapter && methodOf(adapter);
  const specs =
    adapter && method ? [...method.parameters(shape, adapter), ...method.sharedParameters(adapter)] : [];
  const parameters = new Map(
    specs.map((spec) => [
      spec.suffix,
      { spec, value: graph.placeholder(spec.suffix, spec.shape, spec.dtype) },
    ]),
  );
  const terms =
    adapter && method
      ? method.forward(methodOps, {
          config: adapter,
          shape,
          rows,
          x,
          base,
          weight,
          weightRows: (numbers) => methodOps.gather(weight, numbers, 0),
          product: (value) => methodOps.linear(value, weight),
          taskSelection: graph.placeholder('selection', [rows, adapter.tasks + 1], 'f32'),
          parameter: (suffix) => parameters.get(suffix)!.value,
          dropout: (value) =>
            isTraining && adapter.dropout > 0
              ? multiply(value, graph.placeholder(graph.uniqueName('mask'), value.shape, 'f32'))
              : value,
        })
      : [base];
  if (isTraining) {
    const upstream = graph.placeholder('dy', [rows, shape.dOut], 'f32');
    const trained = [...parameters.values()].filter(({ spec }) => spec.trainable);
    const wanted = [x, ...trained.map(({ value }) => value)];
    const values = gradients(
      terms,
      terms.map(() => upstream),
      wanted,
    );
    expect(values).not.toContain(null);
  }
  return found;
}

describe('declared products are those of the graph', () => {
  it.each<Partial<AdapterConfig>>([
    { method: 'lora', rank: 3 },
    { method: 'lora', rank: 3, dropout: 0.1 },
    { method: 'dora', rank: 3 },
    { method: 'dora', rank: 3, dropout: 0.1 },
    { method: 'hydralora', rank: 3, heads: 5 },
    { method: 'moelora', rank: 3, experts: 5 },
    { method: 'moelora', rank: 6, experts: 3, gate: 'task', tasks: 4 },
    { method: 'idlora', rank: 4, clusters: 3, boost: 2 },
    { method: 'idlora', rank: 4, clusters: 2, boost: 4, dropout: 0.1 },
    { method: 'idlora', rank: 4, clusters: 3, boost: 1, routerSoftmax: false },
    { method: 'idlora', rank: 4, clusters: 3, boost: 2, router: 'pivot' },
  ])('%j', (options) => {
    const adapter = adapterConfigSchema.parse({ alpha: 1, ...options });
    const declared = methodOf(adapter)!.extraProducts(shape, adapter);
    for (const rows of [1, 7])
      for (const [isTraining, { perToken, perPass }] of [
        [false, declared.inference],
        [true, declared.training],
      ] as const) {
        const extra = built(adapter, rows, isTraining) - built(null, rows, isTraining);
        expect(extra, `${rows} rows, training ${isTraining}`).toBe(rows * perToken + perPass);
      }
  });
});
