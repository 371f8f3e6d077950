import { describe, expect, it } from 'vitest';
import { createRandom } from '../../../src-main/statistics/random.ts';
import type { BatchLayout } from '../../../src-main/options/passLayouts.ts';
import { batchFeeds, layOutBatch, layOutPacks, type Batch } from '../../../src-main/engine/model/batches.ts';
import { optimizerStep } from '../../../src-main/engine/training/optimizerStep.ts';
import type { TokenRow } from '../../../src-main/formats/files/tokenFile.ts';
import { openParityCase, parityCase } from '../../support/parity/parityCase.ts';
import { relativeError } from '../../support/parity/recordedValues.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';
import { trainTiny } from '../../support/trainingRun.ts';

/** Longer than a block of queries, so that blocks that do not see the row's first keys are among those tested. */
const capacity = 168;
const longestExample = 56;

/** Rows with prompts of different lengths. */
function randomRows(lengths: readonly number[]): TokenRow[] {
  const random = createRandom(4);
  return lengths.map((length) => {
    const prompt = 1 + random.integer(7);
    return {
      ids: Int32Array.from({ length }, () => 3 + random.integer(98)),
      trained: Uint8Array.from({ length }, (_, t) => (t >= prompt ? 1 : 0)),
    };
  });
}

/**
 * The longest is the third row of the first pack: its last token but one (the last predicts nothing) is the first query
 * of the second block, at slot 128, which must still see the row's first.
 */
const packs = [
  [41, 33, longestExample, 21],
  [30, 8, 51, 44],
  [19, 27, 9],
].map(randomRows);
const rows = packs.flat();

/** A training session with the adapter (its B is not zero) of a recorded parity case. */
const open = (
  name: string,
  layout: BatchLayout,
  options: { fusion?: boolean; accumulate?: number; gradientCheckpointing?: boolean } = {},
) =>
  openParityCase(parityCase(name), {
    layout,
    fusion: options.fusion ?? false,
    train: {
      learningRate: 2e-3,
      accumulate: options.accumulate ?? 1,
      gradientCheckpointing: options.gradientCheckpointing ?? false,
    },
    exposeGradients: options.accumulate === undefined,
  });

const inputs = (batch: Batch, labelled: number) => ({
  ...batchFeeds(batch),
  seed: Int32Array.of(0, 0),
  lossScale: Float32Array.of(1 / labelled),
});

const line = { batch: 1, tokens: capacity, longestExample };
const packedLayout = { batch: packs.length, tokens: capacity, longestExample };

describe.each([
  ['plain', false],
  ['XLA functions', true],
])('%s graph', (_label, fusion) => {
  it.each([
    'tiny-llama-lora',
    'tiny-llama-idlora',
    // A sliding window.
    'tiny-mistral-lora',
    ...(fusion ? [] : ['tiny-llama-full']),
  ])('%s: loss and every gradient of packs are those of single rows', async (name) => {
    // Compiling takes long: the packed graph alone is compiled.
    const { graph: single } = await open(name, { batch: rows.length, tokens: longestExample });
    const { graph: packed } = await open(name, packedLayout, { fusion });
    const wide = layOutBatch(rows, rows.length, longestExample);
    const dense = layOutPacks(packs, packedLayout);
    expect([dense.labelled, dense.tokens]).toEqual([wide.labelled, wide.tokens]);

    const expected = single.session.run('gradients', inputs(wide, wide.labelled));
    const actual = packed.session.run('gradients', inputs(dense, wide.labelled));
    expect(Math.abs(actual.lossSum[0]! / expected.lossSum[0]! - 1)).toBeLessThan(1e-5);
    expect(single.gradientNames.length).toBeGreaterThanOrEqual(20);
    for (const variable of single.gradientNames)
      expect(
        relativeError(actual[variable] as Float32Array, expected[variable] as Float32Array),
        variable,
      ).toBeLessThan(1e-5);

    if (!fusion) {
      const sum = (values: ArrayLike<number>) =>
        Array.from(values).reduce((total, value) => total + value, 0);
      const scored = [
        single.session.run('score', inputs(wide, 1)),
        packed.session.run('score', inputs(dense, 1)),
      ];
      expect(sum(scored[1]!.missed)).toBe(sum(scored[0]!.missed));
      expect(sum(scored[1]!.loss) / sum(scored[0]!.loss)).toBeCloseTo(1, 5);
    }
    single.session.close();
    packed.session.close();
  });
});

it('an example and padding do not change the loss of another example, before it or behind it', async () => {
  const { graph } = await open('tiny-llama-lora', line);
  const [before, kept, behind] = [rows[0]!, rows[1]!, rows[2]!];
  const lossOf = (pack: TokenRow[], padding: number) => {
    const batch = layOutPacks([pack], line);
    batch.ids.fill(padding, batch.tokens);
    // Only the middle example has labels.
    const begin = before.ids.length;
    const labels = batch.labels.map((label, t) => (t >= begin && t < begin + kept.ids.length ? label : -1));
    return graph.session.run('gradients', inputs({ ...batch, labels }, 1));
  };
  const other = (row: TokenRow) => ({ ...row, ids: row.ids.map((id) => 3 + ((id * 7) % 97)) });
  const expected = lossOf([before, kept, behind], 0);
  expect(lossOf([other(before), kept, other(behind)], 55)).toEqual(expected);
  expect(lossOf([before, other(kept), behind], 0).lossSum).not.toEqual(expected.lossSum);

  // Only distances between positions count: where an example begins does not, how far its tokens are apart does.
  const batch = layOutPacks([[before, kept]], line);
  const at = (position: (p: number) => number) =>
    graph.session.run('gradients', inputs({ ...batch, positions: batch.positions.map(position) }, 1))
      .lossSum[0]!;
  expect(at((p) => p + 9) / at((p) => p)).toBeCloseTo(1, 5);
  expect(at((p) => 2 * p) / at((p) => p)).not.toBeCloseTo(1, 3);
  graph.session.close();
});

it('accumulation over single packs, with different numbers of labels, equals the whole, checkpointed', async () => {
  const options = { accumulate: packs.length };
  const { graph } = await open('tiny-llama-lora', line, options);
  const { graph: whole } = await open('tiny-llama-lora', packedLayout, {
    accumulate: 1,
    gradientCheckpointing: true,
  });
  const all = layOutPacks(packs, packedLayout);
  const parts = packs.map((pack) => layOutPacks([pack], line));
  expect(new Set(parts.map(({ labelled }) => labelled)).size).toBe(parts.length);
  for (let step = 1; step <= 3; step++) {
    const at = { step, update: step, learningRate: 2e-3 };
    const expected = optimizerStep(whole, { accumulate: 1, seed: 0 }, [all], at);
    const actual = optimizerStep(graph, { ...options, seed: 0 }, parts, at);
    expect(Math.abs(actual.loss / expected.loss - 1), `loss of step ${step}`).toBeLessThan(1e-5);
    expect(Math.abs(actual.gradNorm / expected.gradNorm - 1), `norm of step ${step}`).toBeLessThan(1e-4);
  }
  graph.session.close();
  whole.session.close();
});

it.each([
  ['ID-LoRA', { method: 'idlora', rank: 4, alpha: 8, clusters: 3, boost: 2 }, 0],
  [
    'MoELoRA, whose rows have tasks',
    { method: 'moelora', rank: 4, alpha: 8, experts: 2, gate: 'task', tasks: 2 },
    2,
  ],
] as const)(
  'a packed run with the same rows a step has the curves of the unpacked one: %s',
  async (_name, adapter, tasks) => {
    const config = {
      adapter,
      learningRate: 1e-2,
      epochs: 12,
      context: 64,
      evalEvery: 4,
    };
    // 13 rows: one step is one epoch in both.
    const single = await trainTiny({ config: { ...config, batch: 13 }, folder: temporaryFolder(), tasks });
    const packed = await trainTiny({
      config: { ...config, batch: 3, accumulate: 2, packing: true },
      folder: temporaryFolder(),
      tasks,
    });
    const losses = (events: typeof packed.events, type: 'step' | 'eval') =>
      events.flatMap((event) => (event.type === type ? [event.loss] : []));
    expect(losses(packed.events, 'step')).toHaveLength(12);
    for (const type of ['step', 'eval'] as const)
      losses(single.events, type).forEach((loss, i) =>
        expect(Math.abs(losses(packed.events, type)[i]! / loss - 1), `${type} ${i + 1}`).toBeLessThan(1e-4),
      );
    const started = packed.events.find((event) => event.type === 'start');
    expect(started).toMatchObject({ totalSteps: 12, packing: { packs: expect.any(Number) as number } });
    expect(started!.packing!.packs).toBeLessThan(6);
    expect(started!.packing!.efficiency).toBeGreaterThan(0.7);
    expect(single.events.find((event) => event.type === 'start')).toMatchObject({ packing: null });
  },
);

it('steps of an epoch are counted from packs', async () => {
  const { events } = await trainTiny({
    config: {
      adapter: { method: 'lora', rank: 2, alpha: 4 },
      epochs: 2,
      batch: 1,
      context: 64,
      packing: true,
    },
    folder: temporaryFolder(),
  });
  const started = events.find((event) => event.type === 'start')!;
  const steps = events.filter((event) => event.type === 'step').length;
  expect(steps).toBe(started.totalSteps);
  expect(steps).toBeGreaterThanOrEqual(2 * started.packing!.packs - 1);
  expect(steps).toBeLessThan(2 * 13);
});
