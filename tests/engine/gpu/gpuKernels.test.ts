import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import {
  methods,
  optimizerSchema,
  trainConfigSchema,
  type TrainConfigInput,
} from '../../../src-main/contract/training.ts';
import { PivotChooser } from '../../../src-main/engine/adapters/pivots/pivots.ts';
import { Graph } from '../../../src-main/engine/graph/graph.ts';
import type { GraphNode } from '../../../src-main/engine/graph/nodes.ts';
import { openSession, type Tensorflow } from '../../../src-main/engine/graph/session.ts';
import { declareTransfers } from '../../../src-main/engine/graph/transfers.ts';
import { createVariable } from '../../../src-main/engine/graph/variables.ts';
import { choices } from '../../../src-main/engine/inference/choices.ts';
import { generate } from '../../../src-main/engine/inference/generate.ts';
import { logits } from '../../../src-main/engine/inference/logits.ts';
import { score } from '../../../src-main/engine/inference/score.ts';
import type { ModelReference } from '../../../src-main/engine/protocol.ts';
import { train } from '../../../src-main/engine/training/trainer.ts';
import { readDecoderConfig } from '../../../src-main/formats/families/huggingFaceConfig.ts';
import { writeTokenFile } from '../../../src-main/formats/files/tokenFile.ts';
import { versions } from '../../../src-main/setup/paths.mjs';
import { fixtures, recorded } from '../../support/paths.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';

/*
 * Whether the graphs of every job would run on a GPU, looked up without one: recorded/gpuKernels.json says which
 * kernels the pinned wheel has there (gpu_kernels.py writes it). TensorFlow puts a node without one on the processor
 * and copies its tensors to and fro, or refuses it; either is found here and not by the first person with a card.
 */
interface Kernel {
  /** By the name of an attribute. */
  types: Record<string, string[]>;
}
const table = JSON.parse(readFileSync(new URL('./recorded/gpuKernels.json', import.meta.url), 'utf8')) as {
  tensorflow: string;
  operations: Record<string, Kernel[]>;
};

/** Operations that call functions: on a GPU these take i32 arguments for memory of the host, which they are not. */
const calls = new Set(['If', 'Case', 'While', 'PartitionedCall', 'StatefulPartitionedCall']);

/** What would not run on a GPU in a graph, each kind of fault once. */
function faultsOf(graph: Graph): string[] {
  const nodes = [graph.main.nodes, ...[...graph.functions.values()].map((definition) => definition.nodes)];
  return [...new Set(nodes.flat().flatMap(faultsOfNode))];
}

function faultsOfNode({ op, attributes }: GraphNode): string[] {
  if (op === 'Placeholder') return [];
  const types = Object.entries(attributes).flatMap(([name, attribute]) =>
    attribute.kind === 'type' ? [{ name, type: attribute.value }] : [],
  );
  const hasKernel = table.operations[op]?.some((kernel) =>
    types.every(({ name, type }) => kernel.types[name]?.includes(type) ?? true),
  );
  const passesIntegers = Object.values(attributes).some(
    (attribute) => attribute.kind === 'types' && attribute.value.includes('i32'),
  );
  return [
    ...(hasKernel
      ? []
      : [`${op} has no kernel for ${types.map(({ name, type }) => `${name} ${type}`).join()}`]),
    ...(calls.has(op) && passesIntegers ? [`${op} passes i32`] : []),
  ];
}

/** Jobs end where their first session would be opened: the graph is complete there. */
class Built extends Error {
  readonly graph: Graph;
  constructor(graph: Graph) {
    super('a graph was built');
    this.graph = graph;
  }
}
vi.mock('../../../src-main/engine/graph/session.ts', { spy: true });
vi.mocked(openSession).mockImplementation((_, graph) => Promise.reject(new Built(graph)));
const tf = {} as Tensorflow;

async function faultsOfJob(job: Promise<unknown>): Promise<string[]> {
  const thrown = await job.catch((error: unknown) => error);
  if (!(thrown instanceof Built)) throw thrown;
  return faultsOf(thrown.graph);
}

const llama = join(fixtures, 'tiny-llama');
let tokenFile = '';
beforeAll(() => {
  tokenFile = join(temporaryFolder(), 'rows.tokens');
  // Longer than a block of attention.
  const row = { ids: new Int32Array(150).fill(5), trained: new Uint8Array(150).fill(1), task: 0 };
  const short = { ids: row.ids.slice(0, 40), trained: row.trained.slice(0, 40), task: 1 };
  writeTokenFile(tokenFile, [row, row, short]);
});

function trainingFaults(
  adapter: Partial<TrainConfigInput['adapter']>,
  {
    fusion = true,
    folder = llama,
    ...rest
  }: Partial<TrainConfigInput> & { fusion?: boolean; folder?: string },
) {
  const config = trainConfigSchema.parse({
    batch: 2,
    context: 150,
    ...rest,
    adapter: { method: 'lora', rank: 4, alpha: 8, clusters: 2, pivots: 'serial', ...adapter },
  });
  const none = temporaryFolder();
  const request = {
    kind: 'train' as const,
    modelFolder: folder,
    trainFile: tokenFile,
    heldOutFile: tokenFile,
    config,
    checkpointFolder: none,
    cacheFolder: none,
    resumeFrom: null,
  };
  return faultsOfJob(
    train(request, readDecoderConfig(folder), {
      tf,
      fusion,
      device: 'gpu',
      products: 'native',
      emit: () => undefined,
      stopRequested: async () => null,
    }),
  );
}

const inBoth = ['bf16', 'f32'].flatMap((precision) =>
  [true, false].map((fusion) => ({ precision, fusion })),
) as {
  precision: 'bf16' | 'f32';
  fusion: boolean;
}[];

describe.each(inBoth)('graphs in $precision, compiled: $fusion', ({ precision, fusion }) => {
  const options = { precision, fusion };

  describe.each(methods)('%s trains', (method) => {
    const dropout = method === 'full' ? 0 : 0.1;
    it.each([
      {},
      { accumulate: 2 },
      { packing: true },
      { gradientCheckpointing: true },
      { samples: { prompts: ['abc'], maxTokens: 8 } },
      ...optimizerSchema.options.map((optimizer) => ({ optimizer, momentum: optimizer === 'sgd' ? 0.9 : 0 })),
    ])('with %j', async (rest) => {
      expect(await trainingFaults({ method, dropout }, { ...options, ...rest })).toEqual([]);
    });

    it.skipIf(method === 'full')('on a base in 8 bits and in 4', async () => {
      for (const bits of [{ loadIn8bit: true }, { loadIn4bit: true }])
        expect(await trainingFaults({ method, dropout }, { ...options, ...bits })).toEqual([]);
    });
  });

  it.each([
    { method: 'idlora', router: 'pivot' },
    { method: 'idlora', routerSoftmax: false },
    { method: 'moelora', gate: 'task', tasks: 3 },
  ] as const)('%j trains', async (adapter) => {
    expect(await trainingFaults({ ...adapter, dropout: 0.1 }, { ...options, packing: true })).toEqual([]);
  });

  it.each(readdirSync(fixtures).filter((name) => name.startsWith('tiny-')))('%s trains', async (model) => {
    const folder = join(fixtures, model);
    expect(await trainingFaults({ layers: [0] }, { ...options, context: 64, folder })).toEqual([]);
  });

  const context = {
    ...options,
    tf,
    device: 'gpu' as const,
    products: 'native' as const,
    emit: () => undefined,
  };
  const job = { ...context, stopRequested: async () => null };
  it.each([null, 'tiny-llama-idlora', 'tiny-llama-moelora-task'])(
    'inference with the adapter %s',
    async (name) => {
      const adapterFolder = name && join(recorded, name, 'adapter');
      const ids = Array.from({ length: 90 }, () => 5);
      for (const quantization of ['none', 'int8', 'nf4'] as const) {
        const model: ModelReference = { folder: llama, precision, adapterFolder, quantization };
        const decoding = { seed: 1, stop: [], endIds: [], batch: 2, maxTokens: 4 };
        const draws = [
          { temperature: 0, topP: 1 },
          { temperature: 1, topP: 1 },
          { temperature: 1, topP: 0.9 },
        ];
        const jobs = [
          () => score({ kind: 'score', model, tokenFile, batch: 2 }, job),
          () =>
            choices(
              { kind: 'choices', model, items: [{ prompt: ids, choices: [[5], ids.slice(85)] }], batch: 2 },
              job,
            ),
          ...draws.map(
            (draw) => () =>
              generate({ kind: 'generate', model, prompts: [ids, [5]], ...decoding, ...draw }, job),
          ),
          () => logits({ kind: 'logits', model, ids, outFile: '' }, job),
        ];
        for (const start of jobs) expect(await faultsOfJob(start())).toEqual([]);
      }
    },
  );
});

it.each(['f32', 'bf16', 'f16'] as const)('pivots are chosen among rows stored as %s', async (stored) => {
  const rows = { count: 64, dimensions: 6, stored, bytes: () => new Uint8Array(64 * 6 * 4) };
  const job = new PivotChooser(tf).choose('pmrc', rows, { clusters: 4, rank: 4, seed: 1 });
  expect(await faultsOfJob(job)).toEqual([]);
});

it('large values of every type go in and out', () => {
  const graph = new Graph({ fusion: false });
  const stored = { f32: 'f32', bf16: 'f16', i64: 'i32', u8: 'u8' } as const;
  const variables = (['f32', 'bf16', 'i64', 'u8'] as const).flatMap((dtype) =>
    ['first', 'second'].map((name) => createVariable(graph, `${dtype}_${name}`, [4], dtype)),
  );
  const targets = variables.map((variable) => ({
    variable,
    stored: stored[variable.dtype as keyof typeof stored],
  }));
  const kept = variables.filter(({ dtype }) => dtype !== 'bf16');
  const { entries } = declareTransfers(graph, targets, kept, { small: -1, together: 0 });
  expect(Object.keys(entries)).toEqual(['assignLarge', 'readLarge']);
  expect(faultsOf(graph)).toEqual([]);
});

describe('the check itself', () => {
  it('knows the kernels of the TensorFlow that set-up provides', () => {
    expect(table.tensorflow).toBe(versions.tensorflow);
  });

  it('finds variables of i32, bytes that are gathered, and integers that enter functions', () => {
    const graph = new Graph({ fusion: false });
    const node = (op: string, attributes: GraphNode['attributes']) =>
      graph.addOperation({ op, inputs: [], attributes, outputs: [] });
    createVariable(graph, 'pivots', [4], 'i32');
    node('GatherV2', {
      Tparams: { kind: 'type', value: 'i8' },
      Tindices: { kind: 'type', value: 'i32' },
      Taxis: { kind: 'type', value: 'i32' },
    });
    node('Case', { Tin: { kind: 'types', value: ['f32', 'i32'] }, Tout: { kind: 'types', value: [] } });
    node('Unknown', {});
    expect(faultsOf(graph)).toEqual([
      'VarHandleOp has no kernel for dtype i32',
      'GatherV2 has no kernel for Tparams i8,Tindices i32,Taxis i32',
      'Case passes i32',
      'Unknown has no kernel for ',
    ]);
  });

  it('looks into functions', () => {
    const graph = new Graph({ fusion: false });
    const inputs = [{ shape: [4], dtype: 'f32' as const }];
    graph.defineFunction('kept', inputs, (values) => values);
    expect(faultsOf(graph)).toEqual([]);
    const [first] = graph.functions.values();
    first!.nodes.push({
      name: 'log',
      op: 'Log',
      inputs: [],
      attributes: { T: { kind: 'type', value: 'i32' } },
    });
    expect(faultsOf(graph)).toEqual(['Log has no kernel for T i32']);
  });
});
