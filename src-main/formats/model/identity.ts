import { createHash } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Model, ModelIdentity } from '../../contract/entities.ts';
import { weightFiles } from './weightFolder.ts';

/** Keys of config.json and generation_config.json that change nothing. */
const idleKeys = ['_name_or_path', 'transformers_version', 'use_cache', '_from_model_config'];
/** Keys of config.json that say where answers end, not what is computed. */
const endKeys = ['bos_token_id', 'eos_token_id', 'pad_token_id'];

/** Identities of model folders. Files are hashed once, and again when their size or time has changed. */
export interface IdentityReader {
  /** @param weights SHA-256 over the weight files (`WeightFolder.contentHash`) */
  read(folder: string, weights: string): ModelIdentity;
}

export function createIdentityReader(): IdentityReader {
  const known = new Map<string, { stamp: string; hash: string }>();
  const part = (folder: string, names: readonly string[], describe: () => unknown): string => {
    const key = JSON.stringify([folder, ...names]);
    const stamp = stampOf(folder, names);
    const found = known.get(key);
    if (found?.stamp === stamp) return found.hash;
    const hash = hashOf(describe());
    known.set(key, { stamp, hash });
    return hash;
  };
  return {
    read(folder, weights) {
      const object = (name: string) => objectOf(contentOf(folder, name));
      const chosen = (name: string, has: (key: string) => boolean) =>
        Object.fromEntries(Object.entries(object(name) ?? {}).filter(([key]) => has(key)));
      const own = (name: string, without: readonly string[]) =>
        object(name) === null
          ? contentOf(folder, name)
          : chosen(name, (key) => !without.includes(key) && !idleKeys.includes(key));
      return {
        weights,
        config: part(folder, ['config.json'], () => own('config.json', endKeys)),
        tokenizer: part(folder, [...tokenizerNames, tokenizerConfig], () => [
          ...tokenizerNames.map((name) => contentOf(folder, name)),
          own(tokenizerConfig, ['chat_template']),
        ]),
        template: part(folder, [...templateNames, tokenizerConfig], () => [
          ...templateNames.map((name) => contentOf(folder, name)),
          object(tokenizerConfig)?.['chat_template'] ?? null,
        ]),
        generation: part(folder, ['generation_config.json', 'config.json'], () => [
          own('generation_config.json', []),
          chosen('config.json', (key) => endKeys.includes(key)),
        ]),
      };
    },
  };
}

const tokenizerConfig = 'tokenizer_config.json';
const tokenizerNames = ['tokenizer.json', 'special_tokens_map.json', 'added_tokens.json'];
const templateNames = ['chat_template.jinja', 'chat_template.json'];

/** What a model computes from tokens: its weights and its configuration. */
export function computationOf({ weights, config }: ModelIdentity): string {
  return hashOf([weights, config]);
}

/** The identity of a model that was used before (`ModelService.use`). */
export function identityOf({ name, identity }: Pick<Model, 'name' | 'identity'>): ModelIdentity {
  if (!identity) throw new Error(`the model ${name} was not looked at before it is used`);
  return identity;
}

/** Which tokens texts are to a model. */
export function readingOf(model: Pick<Model, 'name' | 'identity'>): string {
  return identityOf(model).tokenizer;
}

/** Which text a conversation is to a model. */
export function templateOf(model: Pick<Model, 'name' | 'identity'>): string {
  return identityOf(model).template;
}

/** Everything that decides an answer to a text. */
export function answersOf(identity: ModelIdentity): string {
  const { weights, config, tokenizer, template, generation } = identity;
  return hashOf([weights, config, tokenizer, template, generation]);
}

/** The files of the parts in which two identities differ, in words; empty where they are one. */
export function changedParts(
  before: ModelIdentity,
  now: ModelIdentity,
  among: readonly (keyof ModelIdentity)[],
): string[] {
  return among.filter((part) => before[part] !== now[part]).map((part) => partNames[part]);
}

const partNames: Readonly<Record<keyof ModelIdentity, string>> = {
  weights: 'the weights',
  config: 'config.json',
  tokenizer: 'the tokenizer (tokenizer.json, tokenizer_config.json)',
  template: 'the chat template',
  generation: 'generation_config.json',
};

/** Changes when a weight file is written anew: their names, sizes and times. @throws StudioError as weightFiles does */
export function weightStamp(folder: string): string {
  return hashOf(stampOf(folder, weightFiles(folder).shards));
}

/** Changes when one of the files is written anew, appears or goes. */
export function stampOf(folder: string, names: readonly string[]): string {
  const facts = names.map((name) => {
    const stats = statSync(join(folder, name), { throwIfNoEntry: false });
    return stats ? [name, stats.size, stats.mtimeMs] : [name];
  });
  return JSON.stringify([folder, facts]);
}

/** Null where there is no such file. */
function contentOf(folder: string, name: string): string | null {
  const path = join(folder, name);
  return statSync(path, { throwIfNoEntry: false })?.isFile() ? readFileSync(path, 'utf8') : null;
}

/** Null where the text is no JSON object: it is then told from others by its bytes. */
function objectOf(text: string | null): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text ?? 'null');
    return typeof value === 'object' && !Array.isArray(value)
      ? (value as Record<string, unknown> | null)
      : null;
  } catch {
    return null;
  }
}

/** Equal for equal values, whatever the order of their keys. */
function hashOf(value: unknown): string {
  const sorted = JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
  return createHash('sha256').update(sorted).digest('hex');
}
