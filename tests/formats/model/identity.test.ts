import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, expect, it } from 'vitest';
import type { ModelIdentity } from '../../../src-main/contract/entities.ts';
import { changedParts, createIdentityReader, weightStamp } from '../../../src-main/formats/model/identity.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';
import { tinyLlama } from '../../support/paths.ts';

const reader = createIdentityReader();
let folder: string;
let before: ModelIdentity;

beforeEach(() => {
  folder = temporaryFolder();
  cpSync(tinyLlama, folder, { recursive: true });
  before = reader.read(folder, 'w');
});

const parts = ['weights', 'config', 'tokenizer', 'template', 'generation'] as const;
function changed(): string[] {
  const now = reader.read(folder, 'w');
  return parts.filter((part) => now[part] !== before[part]);
}

const set = (file: string, key: string, value: unknown) => () => {
  const path = join(folder, file);
  const json = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
  writeFileSync(path, JSON.stringify({ ...json, [key]: value }));
};
const write = (file: string, text: string) => () => writeFileSync(join(folder, file), text);

it.each<[string, () => void, string[]]>([
  ['rope_theta', set('config.json', 'rope_theta', 5e5), ['config']],
  ['another norm', set('config.json', 'rms_norm_eps', 1e-6), ['config']],
  ['the end token of config.json', set('config.json', 'eos_token_id', 5), ['generation']],
  ['who wrote config.json', set('config.json', 'transformers_version', '4.0'), []],
  ['a temperature', set('generation_config.json', 'temperature', 0.3), ['generation']],
  ['tokenizer.json', set('tokenizer.json', 'normalizer', { type: 'NFC' }), ['tokenizer']],
  ['the end token of the tokenizer', set('tokenizer_config.json', 'eos_token', '<s>'), ['tokenizer']],
  ['a template in its configuration', set('tokenizer_config.json', 'chat_template', 'x'), ['template']],
  ['a template of its own', write('chat_template.jinja', 'x'), ['template']],
  ['added tokens', write('added_tokens.json', '{"<x>":100}'), ['tokenizer']],
  ['a damaged config.json', write('config.json', '{'), ['config', 'generation']],
  ['a card', write('README.md', 'x'), []],
])('%s', (_name, change, expected) => {
  change();
  expect(changed()).toEqual(expected);
  expect(changed()).toEqual(expected);
});

it('does not depend on the order of keys, nor on where the folder lies', () => {
  const json = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')) as object;
  const turned = Object.fromEntries(Object.entries(json).reverse());
  writeFileSync(join(folder, 'config.json'), JSON.stringify(turned, null, 4));
  expect(changed()).toEqual([]);
  expect(createIdentityReader().read(tinyLlama, 'w')).toEqual(before);
});

it('names the files of the parts that are asked for', () => {
  const other = { ...before, weights: 'x', template: 'y' };
  expect(changedParts(before, other, ['weights', 'config'])).toEqual(['the weights']);
  expect(changedParts(before, before, [...parts])).toEqual([]);
});

it('knows weight files that were written anew', () => {
  const stamp = weightStamp(folder);
  expect(weightStamp(folder)).toBe(stamp);
  const path = join(folder, 'model.safetensors');
  writeFileSync(path, readFileSync(path));
  expect(weightStamp(folder)).not.toBe(stamp);
});
