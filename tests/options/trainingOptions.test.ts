import { describe, expect, it } from 'vitest';
import {
  layersText,
  patternText,
  readLayers,
  readPattern,
  valueProblem,
} from '../../src-main/options/optionText.ts';
import { adapterConfigSchema, trainConfigSchema } from '../../src-main/contract/training.ts';
import {
  flatten,
  mattering,
  normalized,
  optionChoices,
  optionDeclarations,
  optionNames,
  type OptionName,
  baseSwitches,
} from '../../src-main/options/trainingOptions.ts';
import { adapterMethods } from '../../src-main/methods/registry.ts';
import { variedConfigs } from '../support/trainConfigs.ts';

describe('the table of options', () => {
  it('has every option of the contract once, with one flag and one key each', () => {
    const names = [...Object.keys(adapterConfigSchema.shape), ...Object.keys(trainConfigSchema.shape)];
    const switches: string[] = baseSwitches.map(({ name }) => name);
    const single = names.filter((name) => name !== 'adapter' && !switches.includes(name));
    // How the base is kept is one option of two switches.
    expect(switches.every((name) => names.includes(name))).toBe(true);
    expect([...optionNames].sort()).toEqual([...single, 'baseWeights'].sort());
    const declarations = Object.values(optionDeclarations);
    expect(new Set(declarations.map(({ flag }) => flag)).size).toBe(declarations.length);
    expect(new Set(declarations.map(({ key }) => key)).size).toBe(declarations.length);
  });

  it('names the options of a method as adapter_config.json does', () => {
    for (const { fileKeys } of Object.values(adapterMethods))
      for (const [key, option] of Object.entries(fileKeys)) expect(optionDeclarations[option].key).toBe(key);
  });

  it('knows the values of every choice', () => {
    for (const name of optionNames)
      expect(optionChoices(name).length > 1, name).toBe(optionDeclarations[name].kind === 'choice');
  });

  it('is tried out with every option that can matter', () => {
    const seen = new Set<OptionName>();
    for (const { config } of variedConfigs()) for (const name of mattering(flatten(config))) seen.add(name);
    expect([...seen].sort()).toEqual([...optionNames].sort());
  });
});

it('leaves out of a configuration what does not matter in it', () => {
  const config = trainConfigSchema.parse({
    adapter: { method: 'full', rank: 8, alpha: 3, clusters: 9, dropout: 0.5 },
    optimizer: 'sgd',
    beta1: 0.5,
    heldOutFraction: 0,
    evalEvery: 9,
    epochs: 7,
    maxSteps: 3,
  });
  expect(normalized(config)).toEqual(
    trainConfigSchema.parse({
      adapter: { method: 'full', rank: 1, alpha: 1 },
      optimizer: 'sgd',
      heldOutFraction: 0,
      maxSteps: 3,
    }),
  );
});

describe('options as text', () => {
  it.each([
    [[0], '0'],
    [[0, 1, 2, 3, 7], '0-3,7'],
    [[9, 10], '9-10'],
  ])('layers %j are %s', (layers, text) => {
    expect(layersText(layers)).toBe(text);
    expect(readLayers(text)).toEqual({ value: layers });
  });

  it.each(['x', '3-1', '1-', '-1', '1.5'])('says what is wrong with the layers %s', (text) => {
    expect(readLayers(text)).toEqual({ problem: expect.stringContaining(`"${text}"`) as string });
  });

  it.each([',', '\n'])('reads the patterns that it writes, with %j between them', (separator) => {
    const patterns = { 'layers\\.[0-3]\\.mlp\\..*': 4, q_proj: 0.5, 'layers.[0,1].x': 2 };
    for (const pattern of [{}, { q_proj: 4 }, { q_proj: 4, k_proj: 8 }, patterns])
      expect(readPattern(patternText(pattern, separator))).toEqual({ value: pattern });
  });

  it.each(['q_proj', '=4', 'q_proj=', 'q_proj=x', '{"a":"b"}', '{'])(
    'says what is wrong with the pattern %s',
    (text) => {
      expect(readPattern(text)).toEqual({ problem: expect.stringContaining(text) as string });
    },
  );

  it.each([
    ['rank', 0, 'At least 1.'],
    ['rank', 1.5, 'A whole number.'],
    ['rank', null, 'A number.'],
    ['dropout', 1, 'Below 1.'],
    ['alpha', 0, 'More than 0.'],
    ['learningRate', 11, 'At most 10.'],
    ['targets', [], 'Choose at least one.'],
    ['schedule', 'falling', expect.stringMatching(/^One of constant, linear/)],
    ['clipNorm', null, null],
    ['rank', 8, null],
  ] as const)('says the limit that %s %j breaks', (name, value, text) => {
    expect(valueProblem(name, value)).toEqual(text);
  });
});
