import { parse, stringify } from 'yaml';
import { StudioError } from '../contract/errors.ts';
import { decodeText, EncodingError } from '../contract/datasets/textEncoding.ts';
import type { TrainConfig } from '../contract/training.ts';
import { readDocument, writeDocument, type DocumentNames, type ReadDocument } from './trainingDocument.ts';

/** Longest text that is read: a configuration has a few hundred lines at most. */
const maxCharacters = 1_000_000;

const heading = `# Training configuration of ID-LoRA Studio.
# Keys are those of PEFT (LoraConfig, adapter_config.json) and of transformers (TrainingArguments).
`;

/** A configuration as YAML, complete: every option that matters stands in it. */
export function configYaml(config: TrainConfig, names: DocumentNames = {}): string {
  const text = stringify(writeDocument(config, names), { lineWidth: 0 });
  // YAML 1.1, which Python reads, knows 1e-8 as a text: a number with an exponent needs a point.
  return heading + text.replace(/(?<=[:-] )(-?\d+)(?=e[+-]?\d+$)/gm, '$1.0');
}

/** The text of a configuration's file. @throws StudioError config_invalid with the place where it is no text */
export function configText(bytes: Uint8Array): string {
  try {
    return decodeText(bytes);
  } catch (error) {
    if (!(error instanceof EncodingError)) throw error;
    throw new StudioError('config_invalid', `The file ${error.message}.`, 'Save it as UTF-8.');
  }
}

/**
 * Reads YAML or JSON, which is YAML.
 * @throws StudioError config_invalid where the text is neither
 */
export function readConfigYaml(text: string): ReadDocument {
  if (text.length > maxCharacters)
    throw new StudioError(
      'config_invalid',
      `The configuration has ${text.length} characters; at most ${maxCharacters} are read.`,
      'Give a file with the keys of PEFT and transformers only.',
    );
  let raw: unknown;
  try {
    raw = parse(text);
  } catch (error) {
    throw new StudioError(
      'config_invalid',
      `The text is neither YAML nor JSON: ${error instanceof Error ? error.message.trim() : String(error)}`,
      'Correct the line that is named; every line has the form “key: value”.',
      { cause: error },
    );
  }
  return readDocument(raw);
}
