import { trainedFolder } from '../../src-main/formats/checkpoint/checkpointFolder.ts';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { checkAdapter } from '../../src-main/options/checkAdapter.ts';
import { describeRouterModule } from '../../src-main/services/runs/routerModule.ts';
import { countParameters } from '../../src-main/budget/count.ts';
import { linearModules, moduleSize } from '../../src-main/shape/modelShape.ts';
import { adapterConfigSchema } from '../../src-main/contract/training.ts';
import { asFloat32, asStored } from '../../src-main/formats/files/floats.ts';
import { readDecoderConfig } from '../../src-main/formats/families/huggingFaceConfig.ts';
import { writeModelFolder } from '../../src-main/formats/model/modelFolder.ts';
import { adapterKey, openAdapterFolder } from '../../src-main/formats/adapter/peftAdapter.ts';
import { WeightFolder } from '../../src-main/formats/model/weightFolder.ts';
import {
  each,
  impossible,
  kaimingMatrix,
  plainMethod,
  trainedProducts,
  zeroMatrix,
  type AdapterMethod,
} from '../../src-main/methods/method.ts';
import { adapterMethods } from '../../src-main/methods/registry.ts';
import { logitsOf } from '../support/parity/parityCase.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';
import { tinyLlama } from '../support/paths.ts';
import { lossesOf, trainTiny } from '../support/trainingRun.ts';

/**
 * A method that nobody needs: one trained factor l_g for each group of s neighbouring outputs, y_j = (1 + l_g(j)) (W
 * x)_j. l [dOut / s] starts at zero; trained in each module: dOut / s. The option s is `boost`.
 */
const scaling: AdapterMethod = {
  ...plainMethod,
  peftType: 'SCALING',
  fileKeys: { group: 'boost' },
  parameters: ({ dOut }, { boost }) => [
    {
      suffix: 'scaling.weight',
      shape: [dOut / boost],
      dtype: 'f32',
      trainable: true,
      initial: { kind: 'zeros' },
    },
  ],
  check({ module, shape: { dOut } }, { boost }) {
    if (dOut % boost !== 0)
      throw impossible(`${module} has ${dOut} outputs: no groups of ${boost}.`, 'Choose a divisor.');
  },
  extraProducts: () => trainedProducts(0),
  rankBound({ dIn, dOut }) {
    const most = Math.min(dIn, dOut);
    return { token: most, reads: most, writes: most };
  },
  forward({ multiply, reshape }, { config, shape, rows, base, parameter }) {
    const groups = shape.dOut / config.boost;
    const factors = reshape(parameter('scaling.weight'), [1, groups, 1]);
    const update = multiply(reshape(base, [rows, groups, config.boost]), factors);
    return [base, reshape(update, [rows, shape.dOut])];
  },
};

/**
 * Another one, with two experts: y_j = (1 + g_1 l_1j + g_2 l_2j) (W x)_j, g = softmax(R x).
 */
const twoScalings: AdapterMethod = {
  ...scaling,
  peftType: 'TWOSCALINGS',
  fileKeys: {},
  parameters: ({ dIn, dOut }) => [
    kaimingMatrix('scalings_router.weight', [2, dIn]),
    ...each(2, (i) => zeroMatrix(`scalings.${i}.weight`, [1, dOut])),
  ],
  forward({ concat, linear, matmul, multiply, softmax, toTypeOf }, { x, base, parameter }) {
    const gates = softmax(linear(x, parameter('scalings_router.weight')));
    const factors = concat([parameter('scalings.0.weight'), parameter('scalings.1.weight')], 0);
    return [base, multiply(base, matmul(toTypeOf(x, gates), factors))];
  },
  routing: {
    experts: () => 2,
    weights: ({ linear, softmax }, { x, parameter }) =>
      softmax(linear(x, parameter('scalings_router.weight'))),
    compared: (_, read) => each(2, (i) => read(`scalings.${i}.weight`).floats()),
  },
};

/*
 * All that the rest of the studio is told of them: a line each in the registry, here in the place of methods whose
 * names the contract knows. A test file has modules of its own.
 */
Object.assign(adapterMethods, { lora: scaling, moelora: twoScalings });

const shape = readDecoderConfig(tinyLlama);
const outputs = linearModules(shape).reduce((sum, module) => sum + moduleSize(shape, module).dOut, 0);
const trainable = (shape.layers * outputs) / 4;
const config = (boost: number) => ({ method: 'lora' as const, rank: 1, alpha: 1, boost });

it('is counted and checked', () => {
  const count = countParameters(shape, adapterConfigSchema.parse(config(4)));
  expect(count.trainable).toBe(trainable);
  expect(() => checkAdapter(shape, adapterConfigSchema.parse(config(3)))).toThrow(
    'gate_proj has 80 outputs: no groups of 3.',
  );
});

it('is trained, stored and read again', async () => {
  const folder = temporaryFolder();
  const learningRate = 0.01;
  const { result, events } = await trainTiny({
    folder,
    config: {
      adapter: config(4),
      optimizer: 'sgd',
      schedule: 'constant',
      learningRate,
      clipNorm: null,
      // Every step sees all rows.
      batch: 13,
      maxSteps: 2,
      context: 32,
    },
  });
  expect(events).toContainEqual(expect.objectContaining({ trainable }));
  const [first, second] = lossesOf(events) as [number, number];
  const gradNorm = events.flatMap((event) => (event.type === 'step' ? [event.gradNorm] : []))[0]!;
  // A small step along the gradient lowers the loss by the rate times the gradient's square, where the gradient is
  // right.
  expect((first - second) / (learningRate * gradNorm ** 2)).toBeCloseTo(1, 1);

  const adapterFolder = trainedFolder(result.checkpoint!, 'lora');
  const adapter = openAdapterFolder(adapterFolder);
  expect(adapter.config.boost).toBe(4);
  const factors = (name: string) =>
    asFloat32(adapter.tensors.read(adapterKey(name.replace(/weight$/, 'scaling.weight'))), 'F32');

  // The same model with the factors multiplied into its weights.
  const weights = new WeightFolder(tinyLlama);
  const merged = join(folder, 'merged');
  const tensors = weights.names.map((name) => {
    const { shape: size, dtype } = weights.info(name)!;
    const values = asFloat32(weights.read(name), dtype);
    if (!name.endsWith('_proj.weight')) return { name, dtype, shape: size, data: asStored(values, dtype) };
    const scales = factors(name);
    expect(
      scales.some((factor) => factor !== 0),
      name,
    ).toBe(true);
    const [dOut, dIn] = size as [number, number];
    expect(scales.length).toBe(dOut / 4);
    const scaled = values.map((value, i) => value * (1 + scales[Math.floor(i / dIn / 4)]!));
    return { name, dtype: 'F32' as const, shape: size, data: asStored(scaled, 'F32') };
  });
  writeModelFolder(merged, { base: tinyLlama, tensors, dtype: 'F32', card: null });
  weights.close();
  adapter.tensors.close();
  const ids = [1, 20, 33, 47, 5, 90, 14];
  const [expected, found] = [
    await logitsOf(merged, ids, null),
    await logitsOf(tinyLlama, ids, adapterFolder),
  ];
  found.forEach((value, i) => {
    expect(Math.abs(value - expected[i]!), `logit ${i}`).toBeLessThan(1e-4);
  });
});

it('is watched and described where it has experts', async () => {
  const adapter = { method: 'moelora' as const, rank: 1, alpha: 1 };
  const { result, events } = await trainTiny({
    folder: temporaryFolder(),
    config: { adapter, learningRate: 0.1, batch: 4, maxSteps: 2, context: 32 },
  });
  const watched = events.filter((event) => event.type === 'router').at(-1)!;
  expect(watched.layout.experts).toBe(2);
  const site = watched.layout.sites[0]!;
  expect(watched.mean[0]! + watched.mean[1]!).toBeCloseTo(1, 4);

  const described = describeRouterModule(result.checkpoint!, adapterConfigSchema.parse(adapter), site)!;
  expect(described).toMatchObject({ step: 2, pivots: null });
  expect(described.overlap!.map((row) => row.length)).toEqual([2, 2]);
  expect(described.overlap![0]![0]).toBeCloseTo(1, 5);
});
