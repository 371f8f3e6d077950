import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { weightFiles } from './weightFolder.ts';

/** Files beside weights and config.json that a model needs in use. */
const companionNames = new Set([
  'generation_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'tokenizer.model',
  'special_tokens_map.json',
  'added_tokens.json',
  'vocab.json',
  'merges.txt',
  'chat_template.jinja',
  'chat_template.json',
]);
/** Files that say under which terms a model may be used. */
const termsPattern = /^(licen[cs]e|notice|use_policy)/i;

export const cardName = 'README.md';

/** Tokenizer, chat template and terms: what goes with a model's weights and config.json wherever they go. */
export function isCompanion(name: string): boolean {
  return companionNames.has(name) || termsPattern.test(name);
}

/** LICENSE, NOTICE and the like. */
export function isTerms(name: string): boolean {
  return termsPattern.test(name);
}

/**
 * The files of a folder that make up its model: config.json, weights, tokenizer, template, terms and card.
 * @throws StudioError where it has no weights
 */
export function modelFileNames(folder: string): string[] {
  const { index, shards } = weightFiles(folder);
  const beside = readdirSync(folder).filter(
    (name) =>
      ([index, 'config.json', cardName].includes(name) || isCompanion(name)) &&
      statSync(join(folder, name), { throwIfNoEntry: false })?.isFile(),
  );
  return [...beside, ...shards].sort();
}
