import { expect, it } from 'vitest';
import { StudioError, toPlainError } from '../../src-main/contract/errors.ts';
import {
  adapterConfigSchema,
  trainConfigSchema,
  type AdapterConfig,
} from '../../src-main/contract/training.ts';
import { checkAdapter } from '../../src-main/options/checkAdapter.ts';
import { continuedConfig } from '../../src-main/options/continuedConfig.ts';
import { checkSchedule } from '../../src-main/options/schedule.ts';
import { optionAt, optionNames, pathOf, type OptionName } from '../../src-main/options/trainingOptions.ts';
import { presets } from '../../src-main/shape/modelShape.ts';
import { largestRankAllowed, searchLines } from '../../src-main/budget/searchSpace.ts';
import { methodOf } from '../../src-main/methods/registry.ts';

const llama = presets['llama-3.2-1b']!;
const fused = { ...llama, fusedProjections: true };

function refusal(check: () => unknown): StudioError {
  try {
    check();
  } catch (error) {
    if (error instanceof StudioError) return error;
    throw error;
  }
  throw new Error('nothing was refused');
}

it.each<[Partial<AdapterConfig>, OptionName]>([
  [{ rank: 2049 }, 'rank'],
  [{ rankPattern: { q_proj: 4097 } }, 'rankPattern'],
  [{ method: 'idlora', rank: 3 }, 'rank'],
  [{ method: 'idlora', rankPattern: { q_proj: 3 } }, 'rankPattern'],
  [{ method: 'idlora', rank: 6, boost: 3 }, 'boost'],
  [{ method: 'idlora', rank: 256 }, 'rank'],
  [{ method: 'moelora', tasks: 2 }, 'tasks'],
  [{ method: 'moelora', gate: 'task', experts: 3 }, 'rank'],
  [{ layers: [0, 16] }, 'layers'],
  [{ targets: ['q_proj', 'q_proj'] }, 'targets'],
  [{ targets: ['qkv_proj'] }, 'targets'],
  [{ rankPattern: { lm_head: 4 } }, 'rankPattern'],
  [{ alphaPattern: { lm_head: 4 } }, 'alphaPattern'],
  [{ rankPattern: { '*q': 4 } }, 'rankPattern'],
  [{ alphaPattern: { 'q)': 4 } }, 'alphaPattern'],
  [{ method: 'full', dropout: 0.1 }, 'dropout'],
  [{ method: 'full', targets: ['q_proj'] }, 'targets'],
  [{ method: 'full', rankStabilized: true }, 'rankStabilized'],
])('a refusal of %j carries the option %s', (options, name) => {
  const adapter = adapterConfigSchema.parse({ method: 'lora', rank: 8, alpha: 16, ...options });
  const error = refusal(() => checkAdapter(llama, adapter));
  expect(error.option?.slice(0, 2)).toEqual(pathOf(name));
  expect(error.code).toBe('config_invalid');
});

it('of a part of a matrix, of patterns while modules are sought, and of several options at once', () => {
  const adapter = adapterConfigSchema.parse({ method: 'lora', rank: 8, alpha: 16, targets: ['q_proj'] });
  expect(refusal(() => checkAdapter(fused, adapter)).option).toEqual(pathOf('targets'));
  const patterned = { ...adapter, alphaPattern: { q_proj: 2 } };
  const limits = { rank: { least: 1, most: largestRankAllowed }, targets: true };
  const sought = refusal(() => searchLines(llama, patterned, methodOf(adapter)!, limits));
  expect(sought.option).toEqual(pathOf('alphaPattern'));
  const both: AdapterConfig = { ...adapter, method: 'full', dropout: 0.5, layers: [0] };
  expect(refusal(() => checkAdapter(llama, both)).option).toBeUndefined();
});

it.each<[Parameters<typeof trainConfigSchema.parse>[0] & object, OptionName]>([
  [{ warmupSteps: 10 }, 'warmupSteps'],
  [{ schedule: 'warmup_stable_decay', decaySteps: 11 }, 'decaySteps'],
  [{ schedule: 'polynomial', learningRate: 1e-8 }, 'minLearningRateRatio'],
])('a schedule with %j carries the option %s', (options, name) => {
  const config = trainConfigSchema.parse({ adapter: { method: 'lora', rank: 8, alpha: 16 }, ...options });
  expect(refusal(() => checkSchedule(config, 10)).option).toEqual(pathOf(name));
});

it('what a continued run cannot change, and a value that is out of range', () => {
  const config = trainConfigSchema.parse({ adapter: { method: 'lora', rank: 8, alpha: 16 } });
  const changed = (changes: object) =>
    refusal(() => continuedConfig(config, { ...changes }, 'A branch')).option;
  expect(changed({ batch: 8 })).toEqual(['batch']);
  expect(changed({ adapter: { rank: 4 } })).toEqual(['adapter', 'rank']);
  expect(changed({ batch: 8, seed: 1 })).toBeUndefined();
  expect(changed({ adapter: { rank: 0 } })).toEqual(['adapter', 'rank']);
  expect(changed({ epochs: -1 })).toEqual(['epochs']);
});

it('every option has a path, by which it is found again', () => {
  for (const name of optionNames) expect(optionAt(pathOf(name))).toBe(name);
  expect(optionAt(['adapter', 'rankPattern', 'q_proj'])).toBe('rankPattern');
  expect(optionAt(['adapter'])).toBeNull();
  expect(optionAt([])).toBeNull();
});

it('crosses a process in the plain form, and is absent where there is none', () => {
  const error = new StudioError('config_invalid', 'a', 'b', {
    option: ['adapter', 'rank'],
    cause: new Error(),
  });
  const plain = structuredClone(toPlainError(error));
  expect(plain).toEqual({ code: 'config_invalid', message: 'a', remedy: 'b', option: ['adapter', 'rank'] });
  expect(StudioError.fromPlain(plain).option).toEqual(['adapter', 'rank']);
  expect(toPlainError(new StudioError('busy', 'a', 'b'))).toEqual({
    code: 'busy',
    message: 'a',
    remedy: 'b',
  });
});
