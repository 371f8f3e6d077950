import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { methodOps } from '../../src-main/engine/model/methodOps.ts';
import { gradients } from '../../src-main/engine/graph/gradients.ts';
import { Graph, type Tensor } from '../../src-main/engine/graph/graph.ts';
import { addAll, multiply, scale } from '../../src-main/engine/graph/ops/elementwise.ts';
import { matmul } from '../../src-main/engine/graph/ops/linear.ts';
import { openSession } from '../../src-main/engine/graph/session.ts';
import { loadTensorflow } from '../../src-main/engine/runtime/loadTensorflow.ts';
import { parsePeftConfig } from '../../src-main/formats/adapter/peftConfig.ts';
import { SafetensorsFile } from '../../src-main/formats/files/safetensors.ts';
import type { LinearSize } from '../../src-main/methods/method.ts';
import { methodOf } from '../../src-main/methods/registry.ts';
import { expectWithin } from '../support/parity/parityBounds.ts';
import { recorded } from '../support/paths.ts';
import { floats, maxDifference, relativeError } from '../support/parity/recordedValues.ts';

interface DropoutCase {
  name: string;
  peft: Record<string, unknown>;
  tasks: number[];
}
const cases = JSON.parse(readFileSync(join(recorded, 'dropout.json'), 'utf8')) as DropoutCase[];
const values = new SafetensorsFile(join(recorded, 'dropout.safetensors'), 'model_invalid');
afterAll(() => values.close());

/** Output and gradients of one linear module under a given mask; all values are fed. */
async function withGivenMask({ peft, tasks }: DropoutCase, prefix: string, fusion: boolean) {
  const { config } = parsePeftConfig(peft);
  const method = methodOf(config)!;
  const graph = new Graph({ fusion });
  const inputs: Record<string, Tensor> = {};
  const given: Record<string, Float32Array | Int32Array> = {};
  const feed = (name: string, shape: readonly number[], array: Float32Array | Int32Array) => {
    given[name] = array;
    return (inputs[name] = graph.placeholder(name, shape, array instanceof Int32Array ? 'i32' : 'f32'));
  };
  const read = (name: string) => {
    const { shape, dtype } = values.tensors.get(name)!;
    const stored = values.read(name);
    return feed(
      name.replaceAll(/\W/g, '_'),
      shape,
      dtype === 'I32' ? new Int32Array(stored.buffer) : floats(values, name),
    );
  };
  const [x, weight, upstream, keep] = [read('x'), read('weight'), read('upstream'), read(`${prefix}keep`)];
  const [rows = 0, dIn = 0] = x.shape;
  const shape: LinearSize = { dIn, dOut: weight.shape[0]! };
  const specs = [...method.parameters(shape, config), ...method.sharedParameters(config)];
  const parameters = new Map(specs.map((spec) => [spec.suffix, read(`${prefix}${spec.suffix}`)]));
  const width = config.tasks + 1;
  const chosen = Float32Array.from({ length: rows * width }, (_, i) =>
    tasks[Math.floor(i / width)] === i % width ? 1 : 0,
  );
  const terms = method.forward(methodOps, {
    config,
    shape,
    rows,
    x,
    weight,
    base: matmul(x, weight, { transposeY: true }),
    weightRows: (numbers) => methodOps.gather(weight, numbers, 0),
    product: (value) => methodOps.linear(value, weight),
    taskSelection: method.readsTasks(config) ? feed('selection', [rows, width], chosen) : null,
    parameter: (suffix) => parameters.get(suffix)!,
    dropout: (value) => scale(multiply(value, keep), 1 / (1 - config.dropout)),
  });
  const trained = specs.filter(({ trainable }) => trainable).map(({ suffix }) => suffix);
  const found = gradients(
    terms,
    terms.map(() => upstream),
    [x, ...trained.map((suffix) => parameters.get(suffix)!)],
  );
  const outputs = Object.fromEntries(
    [addAll(terms), ...found].map((value, i) => [['output', 'x', ...trained][i]!, value!]),
  );
  const session = await openSession(loadTensorflow().tf, graph, { run: { inputs, outputs } });
  const out = session.run('run', given);
  session.close();
  return { output: out['output']!, gradients: new Map(['x', ...trained].map((name) => [name, out[name]!])) };
}

describe.each([
  ['plain', false],
  ['XLA functions', true],
])('a given dropout mask, %s', (_label, fusion) => {
  it.each(cases.map((known, number) => [known.name, known, `${number}.`] as const))(
    '%s: output and every gradient in PyTorch',
    async (name, known, prefix) => {
      const actual = await withGivenMask(known, prefix, fusion);
      const output = floats(values, `${prefix}output`);
      expectWithin('logits', `${name} under a dropout mask`, maxDifference(actual.output, output));
      const expected = [...values.tensors.keys()].filter((key) => key.startsWith(`${prefix}gradient of `));
      expect([...actual.gradients.keys()].map((key) => `${prefix}gradient of ${key}`).toSorted()).toEqual(
        expected.toSorted(),
      );
      for (const [key, gradient] of actual.gradients) {
        const error = relativeError(gradient, floats(values, `${prefix}gradient of ${key}`));
        expectWithin('gradient', `${name} under a dropout mask, ${key}`, error);
      }
    },
  );
});

it('covers every method, ID-LoRA with both routers and MoELoRA with both gates', () => {
  const read = cases.map(({ peft }) => parsePeftConfig(peft).config);
  expect(new Set(read.map(({ method }) => method))).toEqual(
    new Set(['lora', 'dora', 'hydralora', 'moelora', 'idlora']),
  );
  expect(new Set(read.map(({ router }) => router))).toEqual(new Set(['input', 'pivot']));
  expect(new Set(read.map(({ gate }) => gate))).toEqual(new Set(['token', 'task']));
});
