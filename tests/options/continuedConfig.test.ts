import { createHash } from 'node:crypto';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import { WeightFolder } from '../../src-main/formats/model/weightFolder.ts';
import { continuedConfig, keptOptions } from '../../src-main/options/continuedConfig.ts';
import { scheduleChange } from '../../src-main/options/schedule.ts';
import { trainConfigSchema, type TrainConfig } from '../../src-main/contract/training.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';
import { tinyLlama } from '../support/paths.ts';
import { trainTiny } from '../support/trainingRun.ts';

const config = trainConfigSchema.parse({
  adapter: { method: 'lora', rank: 2, alpha: 4 },
  maxSteps: 2,
  batch: 2,
  context: 32,
  evalEvery: 1,
});

/** One other value for every option but the adapter's. */
const others = {
  learningRate: 1e-3,
  schedule: 'cosine',
  warmupSteps: 1,
  minLearningRateRatio: 0.5,
  decaySteps: 1,
  polynomialPower: 2,
  epochs: 2,
  maxSteps: 3,
  batch: 3,
  heldOutFraction: 0.3,
  accumulate: 2,
  context: 16,
  template: 'chatml',
  templateSource: 'x',
  system: 'x',
  trainOn: 'all',
  truncation: 'drop',
  packing: true,
  gradientCheckpointing: true,
  seed: 1,
  precision: 'bf16',
  tf32: true,
  loadIn8bit: true,
  loadIn4bit: true,
  optimizer: 'sgd',
  loraPlusRatio: 2,
  weightDecay: 0.1,
  beta1: 0.8,
  beta2: 0.99,
  epsilon: 1e-6,
  clipNorm: null,
  heldOutRows: 3,
  evalEvery: 0,
  checkpointEvery: 1,
  earlyStoppingPatience: 1,
  keepBest: true,
  samples: { prompts: ['x'], every: 1, maxTokens: 1 },
} satisfies Partial<Record<keyof TrainConfig, unknown>>;

let checkpoint: string;
beforeAll(async () => {
  const { result } = await trainTiny({ config, folder: temporaryFolder(), stopAfter: 1 });
  checkpoint = result.checkpoint!;
});

it('knows every option of the configuration', () => {
  const elsewhere = ['adapter', 'momentum'];
  expect([...Object.keys(others), ...elsewhere].sort()).toEqual(Object.keys(trainConfigSchema.shape).sort());
});

it.each(Object.entries(others))(
  'lets %s be changed exactly where the engine goes on from the checkpoint with it',
  async (option, value) => {
    let changed: TrainConfig | null = null;
    try {
      changed = continuedConfig(config, { [option]: value }, 'A branch');
    } catch (error) {
      expect(error).toMatchObject({
        code: 'config_invalid',
        message: expect.stringContaining(option) as string,
      });
    }
    const given = trainConfigSchema.parse({ ...config, [option]: value });
    const trained = trainTiny({ config: given, folder: temporaryFolder(), resumeFrom: checkpoint });
    if (changed) await expect(trained).resolves.toBeDefined();
    else await expect(trained).rejects.toMatchObject({ code: 'config_invalid' });
  },
);

it('lets momentum be changed but not be added', () => {
  const sgd = { ...config, optimizer: 'sgd', momentum: 0.5 } as const;
  expect(continuedConfig(sgd, { momentum: 0.9 }, 'A branch').momentum).toBe(0.9);
  expect(() => continuedConfig(sgd, { momentum: 0 }, 'A resumed run')).toThrow('momentum (0.5 to 0)');
});

it('keeps the names that fingerprints of former versions hold', () => {
  const kept = (rest: Partial<TrainConfig>) => JSON.stringify(keptOptions({ ...config, ...rest, seed: 1 }));
  expect(kept({ precision: 'bf16', loadIn4bit: true })).toMatch(
    /"precision":"bf16","loadIn4bit":true,"seed":1/,
  );
  expect(kept({ loadIn8bit: true })).toMatch(/"loadIn8bit":true,"seed":1/);
  expect(kept({})).not.toMatch(/loadIn|baseWeights/);
});

it('goes on from a checkpoint whose fingerprint an earlier version wrote', async () => {
  const file = join(checkpoint, 'state.json');
  const kept = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
  const { base: _base, rowsSha256: _rows, rates: _rates, ...state } = kept;
  const adapter = { ...config.adapter };
  const weights = new WeightFolder(tinyLlama);
  const parts = [weights.contentHash(), 13, adapter, 2, 1, 32, 0, 'f32', ['adamw', false]];
  const fingerprint = createHash('sha256').update(JSON.stringify(parts)).digest('hex');
  weights.close();
  const former = join(temporaryFolder(), basename(checkpoint));
  cpSync(checkpoint, former, { recursive: true });
  writeFileSync(join(former, 'state.json'), JSON.stringify({ ...state, fingerprint }));
  const trained = trainTiny({ config, folder: temporaryFolder(), resumeFrom: former });
  await expect(trained).resolves.toBeDefined();
  const other = { ...config, batch: 3 };
  await expect(trainTiny({ config: other, folder: temporaryFolder(), resumeFrom: former })).rejects.toThrow();
});

it('says what another schedule does to the learning rate, and nothing where none changes', async () => {
  const logged = async (changes: Partial<TrainConfig>) => {
    const given = { config: { ...config, ...changes }, folder: temporaryFolder(), resumeFrom: checkpoint };
    const { events } = await trainTiny(given);
    const lines = events.flatMap((event) => (event.type === 'log' ? [event.line] : []));
    return lines.filter((line) => line.startsWith('Warning'));
  };
  expect(await logged({ maxSteps: 4 })).toEqual([
    'Warning: The schedule changed: it is linear over 4 steps, and was linear over 2 steps. The learning rate was 0.000200 at step 1 and is 0.000150 at step 2, where 0.000100 were planned.',
  ]);
  expect(await logged({ weightDecay: 0.1, checkpointEvery: 1 })).toEqual([]);
});

it('a schedule that never falls goes on over more steps, a finished one begins to learn again', () => {
  const rates = { ...config, warmupSteps: 0, totalSteps: 10 };
  const constant = { ...rates, schedule: 'constant' } as const;
  expect(scheduleChange(constant, { ...constant, totalSteps: 20 }, 10)).toBeNull();
  expect(scheduleChange(rates, rates, 5)).toBeNull();
  expect(scheduleChange(rates, { ...rates, totalSteps: 20 }, 10)).toMatch(
    /was 0\.0000200 at step 10 and is 0\.000100 at step 11, where the run was to end/,
  );
  expect(scheduleChange(rates, { ...rates, warmupSteps: 8 }, 5)).toMatch(/after a warm-up of 8 steps/);
});
