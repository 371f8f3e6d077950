import { expect, it } from 'vitest';
import { help } from '../../src-main/cli/help.ts';
import { optionDeclarations, optionNames } from '../../src-main/options/trainingOptions.ts';

it('names every option of train, with the methods, optimizers or schedules that it belongs to', () => {
  const train = help.slice(help.indexOf('\n  train --model'), help.indexOf('\n  train --resume'));
  const flags = [...train.matchAll(/--([a-z0-9-]+)/g)].map(([, flag]) => flag);
  for (const name of optionNames) expect(flags).toContain(optionDeclarations[name].flag);
  for (const text of [
    '--heads 3 (hydralora)',
    '--template auto|model|alpaca|question_answer|chatml|plain|none|FILE (',
    '--template-source JINJA (custom)',
    '--train-on assistant|last|all',
    '--truncation right|left|drop (',
    '--momentum 0 (sgd)',
    '--decay-steps N (warmup_stable_decay)',
    '--gradient-checkpointing true|false',
    '--precision f32|bf16',
  ])
    expect(train).toContain(text);
});

it('stays within the width of a usual terminal', () => {
  const train = help.slice(help.indexOf('\n  train --model'), help.indexOf('\n  study plan'));
  for (const line of train.split('\n')) expect(line.length).toBeLessThanOrEqual(120);
});
