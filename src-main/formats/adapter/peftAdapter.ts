import { existsSync, lstatSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { StudioError } from '../../contract/errors.ts';
import type { AdapterConfig } from '../../contract/training.ts';
import { methodOf } from '../../methods/registry.ts';
import { syncFolder, writeFileAtomic } from '../files/atomicFile.ts';
import { readJsonObject } from '../files/jsonFile.ts';
import { parsePeftConfig, peftConfigOf } from './peftConfig.ts';
import { SafetensorsFile, writeSafetensors, type SafetensorsDType } from '../files/safetensors.ts';

/**
 * Adapter folders as PEFT lays them out: adapter_config.json and adapter_model.safetensors. Keys are
 * `base_model.model.` + Hugging Face module path + `.` + suffix; parameters that all modules share have the path
 * `model`. The methods that PEFT does not have use the same layout with a peft_type of their own.
 */
const keyPrefix = 'base_model.model.';
const configName = 'adapter_config.json';
const tensorsName = 'adapter_model.safetensors';

export interface AdapterFolder {
  config: AdapterConfig;
  /** SHA-256 of the base weights that pivots refer to; null where the writer did not say. */
  baseSha256: string | null;
  tensors: SafetensorsFile;
}

export interface AdapterTensor {
  /**
   * Hugging Face module path and the parameter's suffix, for example `model.layers.0.self_attn.q_proj.lora_A.weight`.
   */
  name: string;
  dtype: SafetensorsDType;
  shape: readonly number[];
  data: Uint8Array | (() => Uint8Array);
}

/** The key under which a tensor is stored. @param name module path and suffix */
export function adapterKey(name: string): string {
  return `${keyPrefix}${name}`;
}

/** The inverse of adapterKey. @throws StudioError adapter_invalid for a key that PEFT would not write */
export function nameOfKey(key: string): string {
  if (key.startsWith(keyPrefix)) return key.slice(keyPrefix.length);
  throw new StudioError(
    'adapter_invalid',
    `The adapter's tensor ${key} does not begin with ${keyPrefix}.`,
    'Export the adapter again.',
  );
}

/**
 * Opens an adapter folder; the caller closes `tensors`.
 * @throws StudioError not_found, adapter_invalid (damaged), model_unsupported (an option the engine lacks, by name)
 */
export function openAdapterFolder(folder: string): AdapterFolder {
  if (!existsSync(join(folder, configName)))
    throw new StudioError(
      'not_found',
      `${folder} is no adapter: it has no ${configName}.`,
      'Choose a folder that PEFT or the studio exported, or the name of a run.',
    );
  const raw = readJsonObject(join(folder, configName), 10 * 1024 * 1024, 'adapter_invalid');
  const parsed = parsePeftConfig(raw);
  if (!existsSync(join(folder, tensorsName)))
    throw new StudioError(
      'adapter_invalid',
      `${folder} has no ${tensorsName}.`,
      'Export the adapter again, in the safetensors format.',
    );
  return {
    ...parsed,
    tensors: new SafetensorsFile(join(folder, tensorsName), 'adapter_invalid'),
  };
}

/** What an adapter was trained on. */
export interface AdaptedBase {
  name: string;
  /** Of its weights (WeightFolder.contentHash). */
  sha256: string;
  /** Its linear weights were rounded to 8 bits in training. */
  loadIn8bit: boolean;
}

/**
 * Writes an adapter folder: complete or absent. An existing adapter folder is replaced, anything else is left alone.
 * @returns names of the files
 * @throws StudioError name_taken where `folder` exists and is no adapter
 */
export function writeAdapterFolder(
  folder: string,
  adapter: AdapterConfig,
  base: AdaptedBase,
  tensors: readonly AdapterTensor[],
): string[] {
  const existing = lstatSync(folder, { throwIfNoEntry: false });
  if (existing && !existsSync(join(folder, configName)))
    throw new StudioError(
      'name_taken',
      `${folder} exists and is not an adapter folder.`,
      'Choose a new folder for the export.',
    );
  const temporary = join(dirname(folder), `.${basename(folder)}.${process.pid}.partial`);
  rmSync(temporary, { recursive: true, force: true });
  mkdirSync(temporary, { recursive: true });
  try {
    writeSafetensors(
      join(temporary, tensorsName),
      tensors.map((tensor) => ({ ...tensor, name: adapterKey(tensor.name) })),
    );
    writeFileAtomic(join(temporary, configName), `${JSON.stringify(peftConfigOf(adapter, base), null, 2)}\n`);
    writeFileAtomic(join(temporary, 'README.md'), modelCard(adapter, base));
    if (existing) rmSync(folder, { recursive: true });
    renameSync(temporary, folder);
    syncFolder(dirname(folder));
  } catch (error) {
    rmSync(temporary, { recursive: true, force: true });
    throw error;
  }
  return [tensorsName, configName, 'README.md'];
}

function modelCard(adapter: AdapterConfig, base: AdaptedBase): string {
  const native = methodOf(adapter)?.peftType === 'LORA';
  return [
    '---',
    'library_name: peft',
    `base_model: ${JSON.stringify(base.name)}`,
    '---',
    '',
    `# ${adapter.method} adapter, rank ${adapter.rank}`,
    '',
    `Base model: ${base.name}. Modules: ${adapter.targets.join(', ')}. alpha ${adapter.alpha}, dropout ${adapter.dropout}.`,
    '',
    ...(base.loadIn8bit
      ? [
          'It was trained with the linear weights of the base rounded to 8 bits, a scale for each row, and fits that model best: with the weights as they are stored, what it computes differs a little.',
          '',
        ]
      : []),
    native
      ? '    from peft import PeftModel\n    model = PeftModel.from_pretrained(base_model, "this folder")'
      : `PEFT has no method ${adapter.method}: its loader needs a module that registers this peft_type.`,
    '',
  ].join('\n');
}
