import { trainedFolder } from '../../../src-main/formats/checkpoint/checkpointFolder.ts';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { TrainConfigInput } from '../../../src-main/contract/training.ts';
import { readDecoderConfig } from '../../../src-main/formats/families/huggingFaceConfig.ts';
import { adapterKey, openAdapterFolder } from '../../../src-main/formats/adapter/peftAdapter.ts';
import { TokenFileReader } from '../../../src-main/formats/files/tokenFile.ts';
import { WeightFolder } from '../../../src-main/formats/model/weightFolder.ts';
import { asFloat32 } from '../../../src-main/formats/files/floats.ts';
import { describeRouterModule } from '../../../src-main/services/runs/routerModule.ts';
import { adapterConfigSchema } from '../../../src-main/contract/training.ts';
import { createRandom } from '../../../src-main/statistics/random.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';
import { tinyLlama } from '../../support/paths.ts';
import { trainTiny } from '../../support/trainingRun.ts';

const common = { rank: 4, alpha: 8, clusters: 3, heads: 3, experts: 3, dropout: 0.3 };
const configOf = (adapter: TrainConfigInput['adapter']): TrainConfigInput => ({
  adapter,
  learningRate: 5e-2,
  maxSteps: 4,
  batch: 3,
  context: 32,
  seed: 5,
  evalEvery: 2,
  checkpointEvery: 0,
});

const weights = new WeightFolder(tinyLlama);
const decoder = readDecoderConfig(tinyLlama);
const weight = (name: string) => asFloat32(weights.read(name), weights.info(name)!.dtype);
const embedding = weight('model.embed_tokens.weight');
const gain = weight('model.layers.0.input_layernorm.weight');
const q = weight('model.layers.0.self_attn.q_proj.weight');
const size = decoder.hiddenSize;

/** What layer 0's q_proj gets for a token: its embedding, normalized (RMSNorm). */
function inputOf(id: number): Float64Array {
  const x = Float64Array.from(embedding.subarray(id * size, (id + 1) * size));
  const mean = x.reduce((total, value) => total + value * value, 0) / size;
  return x.map((value, i) => (value / Math.sqrt(mean + decoder.rmsEpsilon)) * gain[i]!);
}

const row = (matrix: Float32Array, i: number, width: number) => matrix.subarray(i * width, (i + 1) * width);
const dot = (a: Float32Array, b: Float64Array) => b.reduce((total, value, i) => total + value * a[i]!, 0);
function softmax(logits: number[]): number[] {
  const exps = logits.map((value) => Math.exp(value - Math.max(...logits)));
  return exps.map((value) => value / exps.reduce((a, b) => a + b, 0));
}

const cases: [string, TrainConfigInput['adapter']][] = [
  ['hydralora', { ...common, method: 'hydralora' }],
  ['moelora', { ...common, method: 'moelora' }],
  ['idlora, input router', { ...common, method: 'idlora' }],
  ['idlora, input router without softmax', { ...common, method: 'idlora', routerSoftmax: false }],
  ['idlora, pivot router', { ...common, method: 'idlora', router: 'pivot' }],
];

describe.each(cases)('%s', (_name, adapter) => {
  it('records the mean weights of the experts over the held-out tokens, as computed by hand', async () => {
    const folder = temporaryFolder();
    const { events, result } = await trainTiny({ config: configOf(adapter), folder });
    const records = events.filter((event) => event.type === 'router');
    expect(records.map(({ step }) => step)).toEqual([2, 4]);
    const { layout, mean, magnitude, tokens } = records[1]!;
    expect(layout.experts).toBe(3);
    expect(layout.sites).toHaveLength(7 * decoder.layers);
    expect(layout.sites[0]).toEqual({ layer: 0, module: 'q_proj' });
    expect(mean).toHaveLength(layout.sites.length * 3);

    const trained = openAdapterFolder(trainedFolder(result.checkpoint!, adapter.method));
    const bytes = (suffix: string) =>
      trained.tensors.read(adapterKey(`model.layers.0.self_attn.q_proj.${suffix}`));
    const router = asFloat32(bytes(`${adapter.method}_router.weight`), 'F32');
    const pivots =
      adapter.method === 'idlora' ? new Int32Array(Uint8Array.from(bytes('idlora_pivots')).buffer) : null;
    const weightsOf = (id: number): number[] => {
      const x = inputOf(id);
      const experts = [0, 1, 2];
      if (adapter.router === 'pivot')
        return experts.map((cluster) =>
          Array.from(
            { length: 4 },
            (_, i) => router[i]! * dot(row(q, pivots![cluster * 4 + i]!, size), x),
          ).reduce((a, b) => a + b, 0),
        );
      const logits = experts.map((expert) => dot(row(router, expert, size), x));
      return adapter.routerSoftmax === false ? logits : softmax(logits);
    };
    const file = new TokenFileReader(join(folder, 'heldout.tokens'));
    const ids = Array.from({ length: file.rowCount }, (_, i) => [...file.row(i).ids]).flat();
    file.close();
    expect(tokens).toBe(ids.length);
    const all = ids.map(weightsOf);
    for (const expert of [0, 1, 2]) {
      const average = (value: (weight: number) => number) =>
        all.reduce((total, own) => total + value(own[expert]!), 0) / all.length;
      expect(mean[expert]).toBeCloseTo(
        average((value) => value),
        4,
      );
      expect(magnitude[expert]).toBeCloseTo(average(Math.abs), 4);
    }
    expect(records[0]!.mean).not.toEqual(mean);

    const described = describeRouterModule(result.checkpoint!, adapterConfigSchema.parse(adapter), {
      layer: 0,
      module: 'q_proj',
    })!;
    expect(described.step).toBe(4);
    if (adapter.method === 'idlora') {
      expect(described.pivots!.outputs).toBe(q.length / size);
      expect(described.pivots!.clusters.flat()).toEqual([...pivots!]);
    } else expect(described.pivots).toBeNull();
    const vectors =
      adapter.method === 'idlora'
        ? adapter.router === 'pivot'
          ? null
          : [0, 1, 2].map((i) => row(router, i, size))
        : [0, 1, 2].map((i) => asFloat32(bytes(`${adapter.method}_B.${i}.weight`), 'F32'));
    trained.tensors.close();
    if (!vectors) {
      expect(described.overlap).toBeNull();
      return;
    }
    const length = (v: Float32Array) => Math.sqrt(dot(v, Float64Array.from(v)));
    const [a, b] = [vectors[0]!, vectors[2]!];
    expect(described.overlap![0]![2]).toBeCloseTo(dot(a, Float64Array.from(b)) / (length(a) * length(b)), 5);
    expect(described.overlap![1]![1]).toBeCloseTo(1, 5);
  });
});

it('records nothing for a method without experts', async () => {
  const { events } = await trainTiny({
    config: configOf({ ...common, method: 'lora' }),
    folder: temporaryFolder(),
  });
  expect(events.some(({ type }) => type === 'router')).toBe(false);
});

it('watches the rows of the step, whole, where no row is held out', async () => {
  const config = {
    ...configOf({ ...common, method: 'hydralora' }),
    heldOutRows: 0,
    batch: 1,
    context: 256,
    epochs: 1,
    maxSteps: null,
    evalEvery: 1,
  };
  const random = createRandom(3);
  // So many that lines get several lengths.
  const rows = Array.from({ length: 12 }, (_, i) => {
    const length = i % 4 > 0 ? 8 + random.integer(5) : 150 + random.integer(51);
    return {
      ids: Int32Array.from({ length }, (_, at) => (at === 0 ? 1 : 3 + random.integer(98))),
      trained: new Uint8Array(length).fill(1),
      task: 0,
    };
  });
  const { events } = await trainTiny({ config, folder: temporaryFolder(), rows });
  const said = events.flatMap((event) => (event.type === 'log' ? [event.line] : []));
  expect(said.join()).toMatch(/in a line of \d+ or \d+ tokens/);
  const records = events.filter((event) => event.type === 'router');
  expect(records.map(({ tokens }) => tokens).sort((a, b) => a - b)).toEqual(
    rows.map(({ ids }) => ids.length).sort((a, b) => a - b),
  );
  const { mean } = records[0]!;
  for (let site = 0; site < mean.length; site += 3)
    expect(mean[site]! + mean[site + 1]! + mean[site + 2]!).toBeCloseTo(1, 5);
});
