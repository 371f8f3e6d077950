import { existsSync, lstatSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { basename, dirname, isAbsolute, join } from 'node:path';
import { StudioError } from '../../contract/errors.ts';
import type { AdapterConfig, Quantization } from '../../contract/training.ts';
import { adapterSites, modulePath } from '../../shape/adapterSites.ts';
import { compilePatternMap } from '../../shape/modulePatterns.ts';
import { linearModules, moduleSize, type ModelShape } from '../../shape/modelShape.ts';
import type { ParameterSpec } from '../../methods/method.ts';
import { methodOf } from '../../methods/registry.ts';
import { syncFolder, writeFileAtomic } from '../files/atomicFile.ts';
import { readJsonObject } from '../files/jsonFile.ts';
import { parsePeftConfig, peftConfigOf, readSupported, type ReadPeftConfig } from './peftConfig.ts';
import { adaptedPaths } from './peftPlacement.ts';
import { SafetensorsFile, writeSafetensors, type SafetensorsDType } from '../files/safetensors.ts';

/**
 * Adapter folders as PEFT lays them out: adapter_config.json and adapter_model.safetensors. Keys are
 * `base_model.model.` + Hugging Face module path + `.` + suffix; parameters that all modules share have the path
 * `model`. The methods that PEFT does not have use the same layout with a peft_type of their own.
 */
const keyPrefix = 'base_model.model.';
const configName = 'adapter_config.json';
const tensorsName = 'adapter_model.safetensors';
const pickleName = 'adapter_model.bin';

export interface AdapterFolder extends ReadPeftConfig {
  tensors: SafetensorsFile;
  /** The tensors' names (adapterKey's argument) with the keys under which the file has them. */
  keys: ReadonlyMap<string, string>;
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

/**
 * The inverse of adapterKey. PEFT also reads keys with the name "default" of an adapter in them, and DoRA's magnitude
 * with `.weight` behind it.
 * @throws StudioError adapter_invalid for a key that PEFT would not read
 */
export function nameOfKey(key: string): string {
  const fail = (what: string, remedy: string) =>
    new StudioError('adapter_invalid', `The adapter's tensor ${key} ${what}.`, remedy);
  if (!key.startsWith(keyPrefix))
    throw fail(
      `does not begin with ${keyPrefix}, and PEFT would not read it`,
      "Save the adapter again with PEFT's save_pretrained.",
    );
  const name = key.slice(keyPrefix.length);
  const other = /\.lora_(?:[AB]|magnitude_vector)\.(\w+)\.weight$/.exec(name)?.[1];
  if (other !== undefined && other !== 'default')
    throw fail(
      `belongs to an adapter named "${other}", and PEFT would not read it`,
      "Save that adapter with PEFT's save_pretrained, which leaves the name out of the keys.",
    );
  return name
    .replace(/(\.lora_[AB])\.default\.weight$/, '$1.weight')
    .replace(/(\.lora_magnitude_vector)(?:\.default)?\.weight$/, '$1');
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
  if (!existsSync(join(folder, tensorsName))) {
    const hasPickle = existsSync(join(folder, pickleName));
    // What is wrong with the options comes first; without tensors a pickle says where they are.
    if (hasPickle) readSupported(raw);
    else parsePeftConfig(raw, []);
    throw hasPickle
      ? new StudioError(
          'adapter_invalid',
          `${folder} has its tensors in ${pickleName}, a Python pickle, which the studio does not run.`,
          `Convert it in that folder: python3 -c 'import torch, safetensors.torch as s; s.save_file({k: v.clone() for k, v in torch.load("${pickleName}", map_location="cpu", weights_only=True).items()}, "${tensorsName}")'`,
        )
      : new StudioError(
          'adapter_invalid',
          `${folder} has no ${tensorsName}.`,
          'Copy the file from where the adapter was saved, or save the adapter again with PEFT.',
        );
  }
  const tensors = new SafetensorsFile(join(folder, tensorsName), 'adapter_invalid');
  try {
    const keys = new Map<string, string>();
    for (const key of tensors.tensors.keys()) {
      const name = nameOfKey(key);
      const twin = keys.get(name);
      if (twin !== undefined)
        throw new StudioError(
          'adapter_invalid',
          `The adapter has the same tensor twice, as ${twin} and as ${key}.`,
          "Save the adapter again with PEFT's save_pretrained.",
        );
      keys.set(name, key);
    }
    const parsed = parsePeftConfig(raw, adaptedPaths(keys.keys()));
    const absent = parsed.saved.find((module) =>
      [...keys.keys()].every((name) => !`.${name}`.includes(`.${module}.`)),
    );
    if (absent !== undefined)
      throw new StudioError(
        'adapter_invalid',
        `adapter_config.json names ${absent} in modules_to_save, and ${tensorsName} has no such tensor: PEFT cannot load it either.`,
        "Save the adapter again with PEFT's save_pretrained.",
      );
    return { ...parsed, tensors, keys };
  } catch (error) {
    tensors.close();
    throw error;
  }
}

/**
 * An adapter's options as they apply to its modules: without patterns of rank and alpha that fit none of them, of which
 * PEFT takes no notice.
 */
export function appliedConfig({ config, keys }: Pick<AdapterFolder, 'config' | 'keys'>): AdapterConfig {
  const paths = adaptedPaths(keys.keys());
  const fitting = (map: 'rankPattern' | 'alphaPattern') => {
    const entries = compilePatternMap(config[map], map).filter(({ fits }) => paths.some(fits));
    return Object.fromEntries(entries.map(({ key, value }) => [key, value]));
  };
  return { ...config, rankPattern: fitting('rankPattern'), alphaPattern: fitting('alphaPattern') };
}

/**
 * Checks that the file has tensors for every module of the model that its configuration names.
 * @throws StudioError adapter_invalid with the module
 */
export function checkWhole(
  shape: Pick<ModelShape, 'layers' | 'fusedProjections'>,
  folder: Pick<AdapterFolder, 'adapts' | 'keys' | 'baseName'>,
): void {
  const adapted = new Set(adaptedPaths(folder.keys.keys()));
  for (let layer = 0; layer < shape.layers; layer++)
    for (const module of linearModules(shape)) {
      const path = modulePath({ layer, module });
      if (folder.adapts(path) && !adapted.has(path))
        throw new StudioError(
          'adapter_invalid',
          `The adapter has no tensors for ${path}, which its target_modules name.`,
          // An adapter of a base with fewer layers ends there; one with a gap is not whole on any base.
          adaptedLayers(adapted) > layer ? wholeRemedy : otherBaseRemedy(folder),
        );
    }
}

/** One more than the last layer of which an adapter has tensors. */
function adaptedLayers(paths: ReadonlySet<string>): number {
  return [...paths].reduce(
    (most, path) => Math.max(most, 1 + Number(/^model\.layers\.(\d+)\./.exec(path)?.[1] ?? -1)),
    0,
  );
}

/** What to do where an adapter's file lacks what belongs to it: no base helps. */
export const wholeRemedy =
  'Copy the adapter’s files from where it was saved, or save it once more with PEFT, whole.';

/** What to do where an adapter does not fit a base model. */
export function otherBaseRemedy({ baseName }: Pick<AdapterFolder, 'baseName'>): string {
  return baseName === null
    ? 'Choose the base model that the adapter was trained on: its adapter_config.json does not name it.'
    : `Choose the base model that the adapter was trained on: its adapter_config.json names ${baseName}.`;
}

/**
 * Why an adapter cannot belong to a model, by the shapes of its tensors; null where it can. Names are only claims, and
 * equal shapes do not prove a base either: they leave few, among which a person knows the right one.
 */
export function misfitOf(shape: ModelShape, folder: AdapterFolder): StudioError | null {
  try {
    checkFit(shape, folder);
    return null;
  } catch (error) {
    if (!(error instanceof StudioError)) throw error;
    // A layer or module that the model lacks is said as of options that a person chose: here it is the model that was.
    return error.code === 'config_invalid'
      ? new StudioError('adapter_invalid', error.message, otherBaseRemedy(folder))
      : error;
  }
}

/** @throws StudioError adapter_invalid, config_invalid with what does not fit */
function checkFit(shape: ModelShape, folder: AdapterFolder): void {
  const adapter = appliedConfig(folder);
  const sites = adapterSites(shape, adapter);
  const paths = new Set(sites.map(({ site }) => modulePath(site)));
  const outside = adaptedPaths(folder.keys.keys()).find((path) => !paths.has(path));
  if (outside !== undefined)
    throw new StudioError(
      'adapter_invalid',
      `The adapter has tensors for ${outside}, which the model lacks: it has ${shape.layers} layers.`,
      otherBaseRemedy(folder),
    );
  checkWhole(shape, folder);
  const method = methodOf(adapter)!;
  for (const { site, adapter: own } of sites)
    checkShapes(folder, modulePath(site), method.parameters(moduleSize(shape, site.module), own));
  checkShapes(folder, 'model', method.sharedParameters(adapter));
}

/** @throws StudioError adapter_invalid for a tensor that is missing or has another shape than it needs there */
function checkShapes(folder: AdapterFolder, path: string, specs: readonly ParameterSpec[]): void {
  for (const { suffix, shape: wanted } of specs) {
    const key = folder.keys.get(`${path}.${suffix}`);
    const found = key === undefined ? undefined : folder.tensors.tensors.get(key)?.shape;
    if (found?.join() === wanted.join()) continue;
    throw new StudioError(
      'adapter_invalid',
      `The adapter's tensor ${path}.${suffix} ${found ? `is [${found.join()}]` : 'is missing'}; this model and its options need [${wanted.join()}].`,
      otherBaseRemedy(folder),
    );
  }
}

/** What an adapter was trained on. */
export interface AdaptedBase {
  /** A repository, or a folder, whose path does not get into the files. */
  name: string;
  /** Of its weights (WeightFolder.contentHash). */
  sha256: string;
  /** How its linear weights were kept in training. */
  quantization: Quantization;
  /** The rows that its indices name lie in the file. */
  embedsRows?: boolean;
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
    const named = { ...base, name: nameOfBase(base.name) };
    writeFileAtomic(
      join(temporary, configName),
      `${JSON.stringify(peftConfigOf(adapter, named), null, 2)}\n`,
    );
    writeFileAtomic(join(temporary, 'README.md'), modelCard(adapter, named));
    if (existing) rmSync(folder, { recursive: true });
    renameSync(temporary, folder);
    syncFolder(dirname(folder));
  } catch (error) {
    rmSync(temporary, { recursive: true, force: true });
    throw error;
  }
  return [tensorsName, configName, 'README.md'];
}

/** A base's name for those who get the files: of a folder its repository in the Hub's cache, or its last part. */
function nameOfBase(name: string): string {
  if (!isAbsolute(name)) return name;
  const repository = /[/\\]models--([^/\\]+)[/\\]snapshots[/\\][^/\\]+$/.exec(name)?.[1];
  return repository?.replaceAll('--', '/') ?? basename(name);
}

/** What became of a base's weights in training. */
const roundedTo = {
  int8: 'rounded to 8 bits, a scale for each row',
  nf4: 'rounded to 4 bits (NF4 in blocks of 64, as they were stored or else with double quantization, as bitsandbytes does it with load_in_4bit)',
};

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
    ...(base.quantization === 'none'
      ? []
      : [
          `It was trained with the linear weights of the base ${roundedTo[base.quantization]}, and fits that model best: with the weights as they are stored, what it computes differs a little.`,
          '',
        ]),
    native
      ? '    from peft import PeftModel\n    model = PeftModel.from_pretrained(base_model, "this folder")'
      : `PEFT has no method ${adapter.method}: its loader needs a module that registers this peft_type.`,
    '',
  ].join('\n');
}
