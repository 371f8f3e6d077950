import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { parseCommand } from '../../src-main/cli/arguments.ts';
import {
  givenOptions,
  givenRunOptions,
  noteIdleOptions,
  trainConfigFrom,
  trainOptions,
} from '../../src-main/cli/trainingArguments.ts';
import type { Quantization, TrainConfig } from '../../src-main/contract/training.ts';
import { flatten, isAdapterOption, mattering } from '../../src-main/options/trainingOptions.ts';
import { commandArguments, commandLine } from '../../src-renderer/features/train/form/commandLine.ts';
import { variedConfigs } from '../support/trainConfigs.ts';

const text = { type: 'string' } as const;
const named = { model: text, data: text, name: text, from: text };
const names = { run: "it's a run", model: 'a model', dataset: 'sums' };

function parse(args: readonly string[]) {
  return parseCommand(args, { ...trainOptions, ...named }).values;
}

function configFrom(args: readonly string[]): TrainConfig {
  return trainConfigFrom(givenOptions(parse(args)));
}

describe("the form's command line", () => {
  it.each(variedConfigs())('means the same configuration: $label', ({ config }) => {
    const args = commandArguments(config, names);
    expect(configFrom(args)).toEqual(config);
    expect(parse(args)).toMatchObject({ name: names.run, model: names.model, data: names.dataset });
  });

  it.each(variedConfigs())(
    'means it also where an adapter is trained on that has everything otherwise: $label',
    ({ config }) => {
      const args = commandArguments(config, { ...names, from: 'another' });
      const given = givenOptions(parse(args));
      const said = Object.keys(given).filter((name) => isAdapterOption(name) || name === 'baseWeights');
      const flat = flatten(config);
      const mattered = mattering(flat).filter((name) => isAdapterOption(name) || name === 'baseWeights');
      expect(said.toSorted()).toEqual(mattered.toSorted());
      expect(configFrom(args)).toEqual(config);
    },
  );

  it('survives a shell', () => {
    const { config } = variedConfigs().find(({ label }) => label.startsWith('lora, samples'))!;
    const line = commandLine(config, names, 'CALL').replace(/^CALL train/, "printf '%s\\0'");
    const words = execFileSync('/bin/sh', ['-c', line], { encoding: 'utf8' }).split('\0').slice(0, -1);
    expect(words).toEqual(commandArguments(config, names));
  });

  it('leaves out what is as usual', () => {
    const { config } = variedConfigs().find(({ label }) => label === 'full, as it is')!;
    expect(commandArguments(config, names)).toEqual([
      ...['--model', 'a model', '--data', 'sums', '--method', 'full', '--lr', '0.0002', '--epochs', '1'],
      ...['--batch', '4', '--context', '256', '--seed', '0', '--name', "it's a run"],
    ]);
  });
});

describe('options of the command line', () => {
  it('take twice the rank as alpha, and rank and alpha 1 where there is no adapter', () => {
    expect(configFrom(['--rank', '6']).adapter).toMatchObject({ method: 'lora', rank: 6, alpha: 12 });
    expect(configFrom(['--method', 'full']).adapter).toMatchObject({ rank: 1, alpha: 1 });
  });

  it.each([
    [['--layers', '3-1'], /--layers "3-1"/],
    [['--rank-pattern', 'q_proj'], /--rank-pattern "q_proj"/],
    [['--targets', 'q_proj,lm_head'], /--targets "lm_head": one of q_proj/],
    [['--packing', 'yes'], /--packing "yes"/],
    [['--epochs', 'none'], /--epochs "none"/],
    [['--samples', '{"prompts":[]}'], /--samples \[\]/],
    [['--dropout', '1'], /--dropout 1: below 1/],
  ])('%j are refused with name and value', (args, message) => {
    expect(() => configFrom(args)).toThrow(message);
  });

  it('say by two switches how the base is kept, and one at most can be on', () => {
    expect(configFrom(['--load-in-4bit', 'true'])).toMatchObject({ loadIn8bit: false, loadIn4bit: true });
    const one = configFrom(['--load-in-8bit', 'true', '--load-in-4bit', 'false']);
    expect(one).toMatchObject({ loadIn8bit: true, loadIn4bit: false });
    expect(configFrom(['--load-in-8bit', 'false'])).toMatchObject({ loadIn8bit: false, loadIn4bit: false });
    // Over a file, or the run whose adapter is trained on.
    const over = (kept: Quantization, ...args: string[]) =>
      givenOptions(parse(args), { baseWeights: kept }).baseWeights;
    expect(over('int8', '--load-in-4bit', 'false')).toBe('int8');
    expect(over('nf4', '--load-in-4bit', 'false')).toBe('none');
    expect(over('nf4', '--load-in-4bit', 'false', '--load-in-8bit', 'false')).toBe('none');
    expect(over('nf4', '--load-in-8bit', 'true')).toBe('int8');
    expect(over('nf4')).toBeUndefined();
    expect(() => configFrom(['--load-in-8bit', 'true', '--load-in-4bit', 'true'])).toThrow(/at once/);
    expect(() => configFrom(['--load-in-4bit', 'nf4'])).toThrow(/--load-in-4bit "nf4"/);
    expect(givenRunOptions(parse(['--load-in-4bit', 'true']), {})).toEqual({
      loadIn8bit: false,
      loadIn4bit: true,
    });
  });

  it('of a resumed run are checked for themselves', () => {
    expect(givenRunOptions(parse(['--max-steps', '9', '--clip-norm', 'none']), {})).toEqual({
      maxSteps: 9,
      clipNorm: null,
    });
    expect(() => givenRunOptions(parse(['--batch', '0']), {})).toThrow(/--batch 0: at least 1/);
  });
});

describe('options that change nothing beside the others', () => {
  const notes = (args: readonly string[], unspoken = {}, ...more: string[]) => {
    const given = givenOptions(parse(args));
    const configs = [args, more].map((words) => flatten(configFrom(words)));
    const said: string[] = [];
    noteIdleOptions(
      { progress: (line) => said.push(line) },
      given,
      more.length > 0 ? configs : [configs[0]!],
      unspoken,
    );
    return said;
  };

  it.each([
    [['--method', 'full', '--rank', '8'], '--rank 8'],
    [['--method', 'full', '--load-in-8bit', 'true'], '--load-in-8bit true'],
    [['--heads', '5', '--pivots', 'serial'], '--pivots serial, --heads 5'],
    [['--optimizer', 'sgd', '--beta1', '0.9'], '--beta1 0.9'],
    [['--method', 'hydralora', '--gate', 'task'], '--gate task'],
    [['--max-steps', '9', '--epochs', '3'], '--epochs 3'],
    [['--method', 'idlora', '--router', 'pivot', '--router-softmax', 'true'], '--router-softmax true'],
  ])('%j: named', (args, named) => {
    expect(notes(args)).toEqual([`Without effect beside the other options: ${named}`]);
  });

  it('are not named where they matter, nor where a file holds only what is as usual', () => {
    expect(notes(['--method', 'hydralora', '--heads', '5', '--rank', '8'])).toEqual([]);
    expect(notes([], { beta1: 0.9, heads: 3 })).toEqual([]);
    expect(notes([], { heads: 4 })).toEqual(['Without effect beside the other options: --heads 4']);
  });

  it('are not named where one of several methods heeds them', () => {
    expect(notes(['--heads', '5'], {}, '--method', 'hydralora')).toEqual([]);
  });
});
