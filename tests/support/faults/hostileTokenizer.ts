import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '../temporaryFolder.ts';
import { tinyLlama } from '../paths.ts';

/** tiny-llama with another way of cutting text into words. */
export function withPattern(pattern: string): string {
  const folder = join(temporaryFolder(), 'model');
  cpSync(tinyLlama, folder, { recursive: true });
  const path = join(folder, 'tokenizer.json');
  const json = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
  json['pre_tokenizer'] = {
    type: 'Split',
    pattern: { Regex: pattern },
    behavior: 'Isolated',
    invert: false,
  };
  writeFileSync(path, JSON.stringify(json));
  return folder;
}

/** Harmless in most texts, and without an end in `endlessText`. */
export const hostilePattern = '(a+)+$';
export const endlessText = `${'a'.repeat(60)}b`;
