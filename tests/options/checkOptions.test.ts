import { expect, it } from 'vitest';
import { checkOptions } from '../../src-main/options/checkOptions.ts';
import {
  trainConfigSchema,
  type TrainConfig,
  type TrainConfigInput,
} from '../../src-main/contract/training.ts';

const full = { method: 'full', rank: 1, alpha: 1 } as const;
const configOf = (rest: Partial<TrainConfigInput>) =>
  trainConfigSchema.parse({ adapter: { method: 'lora', rank: 4, alpha: 8 }, ...rest });

it.each<[string, Partial<TrainConfigInput>, RegExp, RegExp, keyof TrainConfig]>([
  [
    'LoRA+ without B matrices',
    { adapter: full, loraPlusRatio: 16 },
    /16 times the learning rate.*full fine-tuning/,
    /ratio to 1/,
    'loraPlusRatio',
  ],
  ['momentum with AdamW', { momentum: 0.9 }, /Momentum 0.9.*"adamw"/, /"sgd"/, 'momentum'],
  [
    'full on 8 bits',
    { adapter: full, loadIn8bit: true },
    /trains the base/,
    /as they are stored/,
    'loadIn8bit',
  ],
  [
    'full on 4 bits',
    { adapter: full, loadIn4bit: true },
    /trains the base/,
    /as they are stored/,
    'loadIn4bit',
  ],
  ['8 and 4 bits', { loadIn8bit: true, loadIn4bit: true }, /at once/, /one of the two/, 'loadIn4bit'],
  [
    'patience without evaluations',
    { earlyStoppingPatience: 3, maxSteps: 80 },
    /after 3 evaluations needs.*only at the end/,
    /every 8 steps/,
    'earlyStoppingPatience',
  ],
  [
    'the best checkpoint without a held-out part',
    { keepBest: true, evalEvery: 10, heldOutFraction: 0 },
    /^Keeping the best.*no share/,
    /share of 0.02/,
    'keepBest',
  ],
  [
    'both without held-out rows',
    { keepBest: true, earlyStoppingPatience: 1, evalEvery: 10, heldOutRows: 0 },
    /early stopping .* and keeping the best .*0 of them are to be scored/i,
    /64 held-out rows/,
    'earlyStoppingPatience',
  ],
])('refuses %s, with the nearest possible setting', (_name, rest, message, remedy, option) => {
  expect(() => checkOptions(configOf(rest))).toThrow(
    expect.objectContaining({
      code: 'config_invalid',
      message: expect.stringMatching(message) as string,
      remedy: expect.stringMatching(remedy) as string,
      option: [option],
    }),
  );
});

it('refuses early stopping where the dataset leaves no held-out row', () => {
  const config = configOf({ earlyStoppingPatience: 3, evalEvery: 5 });
  expect(() => checkOptions(config)).not.toThrow();
  expect(() => checkOptions(config, { heldOutRows: 1 })).not.toThrow();
  expect(() => checkOptions(config, { heldOutRows: 0 })).toThrow(/share of 0.02 of this dataset/);
});

it('lets everything else through', () => {
  expect(() => checkOptions(configOf({ optimizer: 'sgd', momentum: 0.9, loraPlusRatio: 16 }))).not.toThrow();
});
