import { expect, it } from 'vitest';
import { checkOptions } from '../../src-main/options/checkOptions.ts';
import { trainConfigSchema, type TrainConfigInput } from '../../src-main/contract/training.ts';

const configOf = (rest: Partial<TrainConfigInput>) =>
  trainConfigSchema.parse({ adapter: { method: 'lora', rank: 4, alpha: 8 }, ...rest });

it.each<[string, Partial<TrainConfigInput>, RegExp, RegExp]>([
  [
    'LoRA+ without B matrices',
    { adapter: { method: 'full', rank: 1, alpha: 1 }, loraPlusRatio: 16 },
    /loraPlusRatio 16.*full fine-tuning/,
    /ratio to 1/,
  ],
  ['momentum with AdamW', { momentum: 0.9 }, /momentum 0.9.*"adamw"/, /"sgd"/],
  [
    'patience without evaluations',
    { earlyStoppingPatience: 3, maxSteps: 80 },
    /earlyStoppingPatience 3.*evalEvery is 0/,
    /Set it to 8/,
  ],
  [
    'the best checkpoint without a held-out part',
    { keepBest: true, evalEvery: 10, heldOutFraction: 0 },
    /keepBest true.*heldOutFraction is 0/,
    /Set it to 0.02/,
  ],
  [
    'both without held-out rows',
    { keepBest: true, earlyStoppingPatience: 1, evalEvery: 10, heldOutRows: 0 },
    /early stopping .* and keeping the best .*heldOutRows is 0/i,
    /Set it to 64/,
  ],
])('refuses %s, with the nearest possible setting', (_name, rest, message, remedy) => {
  expect(() => checkOptions(configOf(rest))).toThrow(
    expect.objectContaining({
      code: 'config_invalid',
      message: expect.stringMatching(message) as string,
      remedy: expect.stringMatching(remedy) as string,
    }),
  );
});

it('refuses early stopping where the dataset leaves no held-out row', () => {
  const config = configOf({ earlyStoppingPatience: 3, evalEvery: 5 });
  expect(() => checkOptions(config)).not.toThrow();
  expect(() => checkOptions(config, { heldOutRows: 1 })).not.toThrow();
  expect(() => checkOptions(config, { heldOutRows: 0 })).toThrow(/heldOutFraction 0.02 of this dataset/);
});

it('lets everything else through', () => {
  expect(() => checkOptions(configOf({ optimizer: 'sgd', momentum: 0.9, loraPlusRatio: 16 }))).not.toThrow();
});
