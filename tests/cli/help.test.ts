import { expect, it } from 'vitest';
import { budgetCommand } from '../../src-main/cli/budget/budgetCommand.ts';
import type { CommandContext } from '../../src-main/cli/commandContext.ts';
import { datasetsCommand } from '../../src-main/cli/datasets/datasetCommands.ts';
import { demoCommand } from '../../src-main/cli/demoCommand.ts';
import { doctorCommand } from '../../src-main/cli/doctorCommand.ts';
import { queueCommand } from '../../src-main/cli/evaluation/queueCommand.ts';
import { evalCommand } from '../../src-main/cli/evaluationCommands.ts';
import { help } from '../../src-main/cli/help.ts';
import { modelsCommand, runsCommand } from '../../src-main/cli/libraryCommands.ts';
import { mixCommand } from '../../src-main/cli/mixCommand.ts';
import { generateCommand, logitsCommand } from '../../src-main/cli/modelCommands.ts';
import { sampleSizeCommand } from '../../src-main/cli/sampleSizeCommand.ts';
import { serveCommand } from '../../src-main/cli/serveCommand.ts';
import { studyCommand } from '../../src-main/cli/studyCommands.ts';
import { trainCommand } from '../../src-main/cli/trainCommand.ts';
import { optionDeclarations, optionNames } from '../../src-main/options/trainingOptions.ts';
import { neverAborted } from '../support/core.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

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

type Command = (args: readonly string[], context: CommandContext) => Promise<void>;

const context: CommandContext = { signal: neverAborted, onInterrupt: () => undefined };

/** Each with the word that nothing reads: `eval humaneval` once scored perplexity. */
const calls: readonly [Command, string, ...string[]][] = [
  [doctorCommand, 'fix'],
  [budgetCommand, 'llama-3-8b', '--rank', '8', 'llama-3-8b'],
  [trainCommand, 'false', '--packing', 'true', 'false'],
  [evalCommand, 'humaneval', 'humaneval', '--model', 'm'],
  [generateCommand, 'world', '--prompt', 'hello', 'world'],
  [logitsCommand, '2', '--ids', '1', '2'],
  [sampleSizeCommand, '2', '2'],
  [serveCommand, '8080', '8080'],
  [demoCommand, 'all', 'all'],
  [modelsCommand, 'mine', 'list', 'mine'],
  [runsCommand, 'mine', 'list', 'mine'],
  [datasetsCommand, 'mine', 'list', 'mine'],
  [mixCommand, 'mine', 'list', 'mine'],
  [studyCommand, 'mine', 'plan', 'mine'],
  [queueCommand, 'now', 'work', 'now'],
];

it.each(calls.map(([command, word, ...args]) => ({ name: command.name, command, word, args })))(
  '$name refuses a word that belongs to no option, before it does anything',
  async ({ command, word, args }) => {
    const given = args.length === 0 ? [word] : args;
    const asked = command([...given, '--home', temporaryFolder()], context);
    await expect(asked).rejects.toMatchObject({
      code: 'usage',
      message: `"${word}" belongs to no option here.`,
    });
  },
);
