import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { ChatTemplate } from '../../contract/modelLibrary.ts';
import { readJsonObject } from '../files/jsonFile.ts';

const mostBytes = 4 * 1024 * 1024;
/** Characters that are shown. */
const mostShown = 20_000;

/** A model's chat template, with others that it has by name. */
export interface ModelTemplate {
  /** File that it comes from. */
  file: string;
  text: string;
  /** Templates for other uses, `tool_use` for one. */
  others: { name: string; text: string }[];
}

/**
 * The chat template of a model folder: chat_template.jinja, else chat_template.json, else the tokenizer's
 * configuration, in transformers' order. Null where there is none or the file cannot be read: a model without one can
 * be trained all the same.
 */
export function readModelTemplate(folder: string): ModelTemplate | null {
  const others = readFolder(join(folder, 'additional_chat_templates'));
  const plain = readText(join(folder, 'chat_template.jinja'));
  if (plain !== null) return { file: 'chat_template.jinja', text: plain, others };
  for (const file of ['chat_template.json', 'tokenizer_config.json']) {
    const path = join(folder, file);
    const found = existsSync(path) ? fromValue(file, read(path)) : null;
    if (found) return found;
  }
  return null;
}

function readText(path: string): string | null {
  const size = statSync(path, { throwIfNoEntry: false });
  return size?.isFile() && size.size <= mostBytes ? readFileSync(path, 'utf8') : null;
}

/** Named templates as transformers writes them beside chat_template.jinja. */
function readFolder(folder: string): ModelTemplate['others'] {
  if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory()) return [];
  const names = readdirSync(folder).filter((name) => name.endsWith('.jinja'));
  return names.sort().flatMap((name) => {
    const text = readText(join(folder, name));
    return text === null ? [] : [{ name: name.slice(0, -'.jinja'.length), text }];
  });
}

function read(path: string): unknown {
  try {
    return readJsonObject(path, 10 * mostBytes, 'model_invalid')['chat_template'];
  } catch {
    return null;
  }
}

/** A template, or a list of named ones, of which `default` is meant. */
function fromValue(file: string, value: unknown): ModelTemplate | null {
  if (typeof value === 'string' && value.trim() !== '') return { file, text: value, others: [] };
  if (!Array.isArray(value)) return null;
  const named = value.flatMap((entry: unknown) => {
    const { name, template } = (typeof entry === 'object' && entry !== null ? entry : {}) as Record<
      string,
      unknown
    >;
    return typeof name === 'string' && typeof template === 'string' ? [{ name, text: template }] : [];
  });
  const chosen = named.find(({ name }) => name === 'default') ?? named[0];
  if (!chosen) return null;
  return { file, text: chosen.text, others: named.filter((entry) => entry !== chosen) };
}

/** The same for people: as much of it as can be shown. */
export function readChatTemplate(folder: string): ChatTemplate | null {
  const found = readModelTemplate(folder);
  return (
    found && {
      source: found.file,
      text: found.text.slice(0, mostShown),
      isCut: found.text.length > mostShown,
      others: found.others.slice(0, 20).map(({ name }) => name.slice(0, 100)),
    }
  );
}
