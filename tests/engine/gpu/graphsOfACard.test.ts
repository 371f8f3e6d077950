import { describe, expect, it } from 'vitest';
import type { Method, TrainConfigInput } from '../../../src-main/contract/training.ts';
import { lossesOf, trainTiny } from '../../support/trainingRun.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';

/** Losses and final gradient norm of a training by the graphs of either device, on this processor. */
async function trained(config: TrainConfigInput, device: 'cpu' | 'gpu') {
  const options = { config, folder: temporaryFolder(), device, fusion: device === 'gpu', tasks: 2 };
  const { events } = await trainTiny(options);
  const norms = events.flatMap((event) => (event.type === 'step' ? [event.gradNorm] : []));
  return { losses: lossesOf(events), norms };
}

const base = {
  learningRate: 5e-3,
  schedule: 'constant',
  maxSteps: 3,
  batch: 3,
  context: 32,
  seed: 5,
  heldOutRows: 0,
  checkpointEvery: 0,
  weightDecay: 0.05,
  clipNorm: 0.5,
} as const satisfies Partial<TrainConfigInput>;
const adapterOf = (method: Method, rank = 8) => ({
  method,
  rank,
  alpha: 16,
  clusters: 2,
  tasks: method === 'hydralora' ? 2 : 1,
  dropout: 0,
});

/*
 * A card gets other graphs than a processor: larger parts, one update for all adapters of a layer. What differs is the
 * order in which sums are taken.
 */
describe('the graphs of a card compute what those of a processor do', () => {
  it.each(['lora', 'moelora', 'idlora'] as const)('%s', async (method) => {
    const config = { ...base, adapter: adapterOf(method) };
    const [expected, actual] = [await trained(config, 'cpu'), await trained(config, 'gpu')];
    expect(actual.losses).toHaveLength(3);
    expected.losses.forEach((loss, i) => expect(actual.losses[i]).toBeCloseTo(loss, 3));
    expected.norms.forEach((norm, i) => expect(actual.norms[i]! / norm).toBeCloseTo(1, 3));
    expect(expected.losses.at(-1)).toBeLessThan(expected.losses[0]!);
  });

  it.each<[string, Partial<TrainConfigInput>]>([
    [
      'SGD with momentum and LoRA+, unclipped',
      { optimizer: 'sgd', momentum: 0.9, loraPlusRatio: 8, clipNorm: null, learningRate: 0.05 },
    ],
    ['AdamW in 8 bits', { optimizer: 'adamw8bit', adapter: adapterOf('lora', 96) }],
  ])('%s', async (_name, changes) => {
    const config = { ...base, adapter: adapterOf('lora'), ...changes };
    const [expected, actual] = [await trained(config, 'cpu'), await trained(config, 'gpu')];
    expected.losses.forEach((loss, i) => expect(actual.losses[i]).toBeCloseTo(loss, 3));
  });

  it.each<[string, Partial<TrainConfigInput>]>([
    ['in bf16', {}],
    ['in bf16, with accumulation and checkpointing', { gradientCheckpointing: true, accumulate: 2 }],
  ])('%s', async (_name, changes) => {
    const config = { ...base, adapter: adapterOf('hydralora'), precision: 'bf16', ...changes } as const;
    const [expected, actual] = [await trained(config, 'cpu'), await trained(config, 'gpu')];
    expected.losses.forEach((loss, i) => expect(Math.abs(actual.losses[i]! / loss - 1)).toBeLessThan(0.02));
    expected.norms.forEach((norm, i) => expect(Math.abs(actual.norms[i]! / norm - 1)).toBeLessThan(0.05));
  });
});
