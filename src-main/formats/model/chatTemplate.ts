import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { ChatTemplate } from '../../contract/modelLibrary.ts';
import { readJsonObject } from '../files/jsonFile.ts';

const mostBytes = 4 * 1024 * 1024;
/** Characters that are shown. */
const mostShown = 20_000;

/**
 * The chat template of a model folder: chat_template.jinja, else chat_template.json, else the tokenizer's
 * configuration, in transformers' order. Null where there is none or the file cannot be read: a model without one can
 * be trained all the same.
 */
export function readChatTemplate(folder: string): ChatTemplate | null {
  const plain = join(folder, 'chat_template.jinja');
  const size = statSync(plain, { throwIfNoEntry: false });
  if (size?.isFile() && size.size <= mostBytes)
    return shown('chat_template.jinja', readFileSync(plain, 'utf8'), []);
  for (const name of ['chat_template.json', 'tokenizer_config.json']) {
    const path = join(folder, name);
    if (!existsSync(path)) continue;
    const found = fromValue(name, read(path));
    if (found) return found;
  }
  return null;
}

function read(path: string): unknown {
  try {
    return readJsonObject(path, 10 * mostBytes, 'model_invalid')['chat_template'];
  } catch {
    return null;
  }
}

/** A template, or a list of named ones, of which `default` is meant. */
function fromValue(source: string, value: unknown): ChatTemplate | null {
  if (typeof value === 'string' && value.trim() !== '') return shown(source, value, []);
  if (!Array.isArray(value)) return null;
  const named = value.flatMap((entry: unknown) => {
    const { name, template } = (typeof entry === 'object' && entry !== null ? entry : {}) as Record<
      string,
      unknown
    >;
    return typeof name === 'string' && typeof template === 'string' ? [{ name, template }] : [];
  });
  const chosen = named.find(({ name }) => name === 'default') ?? named[0];
  if (!chosen) return null;
  return shown(
    source,
    chosen.template,
    named.filter((entry) => entry !== chosen).map(({ name }) => name.slice(0, 100)),
  );
}

function shown(source: string, text: string, others: string[]): ChatTemplate {
  return {
    source,
    text: text.slice(0, mostShown),
    isCut: text.length > mostShown,
    others: others.slice(0, 20),
  };
}
