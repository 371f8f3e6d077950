import { z } from 'zod';
import { compilePatternMap, type ModulePattern } from '../../shape/modulePatterns.ts';
import { StudioError } from '../../contract/errors.ts';
import { adapterConfigSchema, type AdapterConfig } from '../../contract/training.ts';
import type { AdapterMethod } from '../../methods/method.ts';
import { adapterMethods, methodOf, type AdapterMethodName } from '../../methods/registry.ts';
import { adaptsModule, placementOf } from './peftPlacement.ts';

/** adapter_config.json: PEFT's keys; the methods' own (src-main/methods) are read from what is left. */
const peftConfigSchema = z.looseObject({
  peft_type: z.string(),
  r: z.number().int().min(1).max(65536),
  lora_alpha: z.number().positive(),
  lora_dropout: z.number().min(0).lt(1).default(0),
  target_modules: z.union([z.string(), z.array(z.string()).min(1).max(10_000)]),
  exclude_modules: z.union([z.string(), z.array(z.string())]).nullish(),
  modules_to_save: z.array(z.string()).nullish(),
  bias: z.string().default('none'),
  use_rslora: z.boolean().default(false),
  rank_pattern: z.record(z.string(), z.unknown()).nullish(),
  alpha_pattern: z.record(z.string(), z.unknown()).nullish(),
  layers_to_transform: z.union([z.number(), z.array(z.number())]).nullish(),
  layers_pattern: z.union([z.string(), z.array(z.string())]).nullish(),
  init_lora_weights: z.union([z.boolean(), z.string()]).nullish(),
  base_model_name_or_path: z.string().nullish(),
  base_sha256: z.string().nullish(),
});
type PeftConfig = z.output<typeof peftConfigSchema>;

/** Options of PEFT's LoRA that change what the adapter computes or where it is, and that the engine does not have. */
const foreignOptions = [
  'target_parameters',
  'trainable_token_indices',
  'layer_replication',
  'lora_bias',
  'use_qalora',
  'use_bdlora',
  'velora_config',
  'monteclora_config',
  'kasa_config',
  'arrow_config',
  'alora_invocation_tokens',
];

/** Options of PEFT 0.21's LoRA that change nothing of what the adapter computes once it is trained. */
const idleOptions = [
  'task_type',
  'auto_mapping',
  'revision',
  'inference_mode',
  'peft_version',
  'megatron_config',
  'megatron_core',
  'loftq_config',
  'eva_config',
  'corda_config',
  'lora_ga_config',
  'qalora_group_size',
  'runtime_config',
  'ensure_weight_tying',
  // PEFT switches it off where the modules are linear ones, as all are here.
  'fan_in_fan_out',
  // ID-LoRA's rows lie beside their indices; the engine compares them with those of the base.
  'embed_pivots',
];

/** Methods that train inputs and change no weight, so that they cannot be merged. */
const promptMethods = /PROMPT|PREFIX|P_TUNING|CPT/;

/** Starts that leave the base weights as they are; the others (PiSSA, OLoRA, CorDA, LoRA-GA, LoftQ) change them. */
const harmlessStarts: readonly unknown[] = [
  ...[undefined, null, true, false],
  ...['gaussian', 'orthogonal', 'eva', 'mica'],
];

/** Starts whose change of the base PEFT can turn into a part of the adapter, by the adapter as it was then. */
const convertibleStarts = /^(pissa|olora|corda|lora_ga)/i;

/** Names under which options of ours stand in the file, for messages. */
const fileNames: Readonly<Record<string, string>> = {
  rank: 'r',
  alpha: 'lora_alpha',
  dropout: 'lora_dropout',
  rankPattern: 'rank_pattern',
  alphaPattern: 'alpha_pattern',
  layers: 'layers_to_transform',
};

/** What adapter_config.json says. */
export interface ReadPeftConfig {
  config: AdapterConfig;
  /** SHA-256 of the base weights that pivots refer to; null where the writer did not say. */
  baseSha256: string | null;
  /** The base model's name, as its writer called it; null where it did not say. */
  baseName: string | null;
  /** Whether PEFT would adapt the linear module at a path. */
  adapts: ModulePattern;
  /** Modules that the adapter replaces as a whole. */
  saved: readonly string[];
}

/**
 * Reads the content of adapter_config.json.
 * @param paths linear modules that the file has tensors for
 * @throws StudioError adapter_invalid (a value of the wrong kind), model_unsupported (an option that the engine lacks,
 * by name)
 */
export function parsePeftConfig(raw: unknown, paths: readonly string[] = []): ReadPeftConfig {
  const { peft, name, method } = readSupported(raw);
  const { targets, layers, paths: chosen } = placementOf(peft, paths);
  const config = adapterConfigSchema.safeParse({
    method: name,
    rank: peft.r,
    alpha: peft.lora_alpha,
    rankStabilized: peft.use_rslora,
    rankPattern: peft.rank_pattern ?? undefined,
    alphaPattern: peft.alpha_pattern ?? undefined,
    dropout: peft.lora_dropout,
    targets,
    layers,
    paths: chosen,
    ...Object.fromEntries(
      Object.entries(method.fileKeys).map(([key, option]) => [option, peft[key] ?? undefined]),
    ),
  });
  if (!config.success)
    throw invalid(
      config.error,
      (option) =>
        Object.entries(method.fileKeys).find(([, name]) => name === option)?.[0] ??
        fileNames[option] ??
        option,
    );
  for (const map of ['rankPattern', 'alphaPattern'] as const)
    try {
      compilePatternMap(config.data[map], map);
    } catch (error) {
      throw error instanceof StudioError
        ? new StudioError('model_unsupported', `${fileNames[map]}: ${error.message}`, error.remedy)
        : error;
    }
  return {
    config: config.data,
    baseSha256: peft.base_sha256 ?? null,
    baseName: peft.base_model_name_or_path ?? null,
    adapts: adaptsModule(peft),
    saved: peft.modules_to_save ?? [],
  };
}

/** What can be read without the tensors. @throws StudioError as `parsePeftConfig` does */
export function readSupported(raw: unknown): {
  peft: PeftConfig;
  name: AdapterMethodName;
  method: AdapterMethod;
} {
  const parsed = peftConfigSchema.safeParse(raw);
  if (!parsed.success) throw invalid(parsed.error, (key) => key);
  const [name, method] = methodIn(parsed.data);
  checkSupported(parsed.data, method);
  return { peft: parsed.data, name, method };
}

/** adapter_config.json of an adapter: PEFT's keys and, for methods of our own, those of the method. */
export function peftConfigOf(
  adapter: AdapterConfig,
  base: { name: string; sha256: string; embedsRows?: boolean },
): Record<string, unknown> {
  const method = methodOf(adapter);
  if (!method) throw new Error('full fine-tuning has no adapter folder');
  const stored = method.asStored(adapter);
  return {
    peft_type: method.peftType,
    task_type: 'CAUSAL_LM',
    base_model_name_or_path: base.name,
    r: adapter.rank,
    lora_alpha: adapter.alpha,
    lora_dropout: adapter.dropout,
    target_modules: adapter.paths ?? adapter.targets,
    ...(adapter.rankStabilized && { use_rslora: true }),
    ...(Object.keys(adapter.rankPattern).length > 0 && { rank_pattern: adapter.rankPattern }),
    ...(Object.keys(adapter.alphaPattern).length > 0 && { alpha_pattern: adapter.alphaPattern }),
    ...(adapter.layers && !adapter.paths && { layers_to_transform: adapter.layers }),
    bias: 'none',
    inference_mode: true,
    ...method.fileFlags,
    ...Object.fromEntries(Object.entries(method.fileKeys).map(([key, option]) => [key, stored[option]])),
    ...(method.refersToBase && { base_sha256: base.sha256 }),
    ...(base.embedsRows && { embed_pivots: true }),
  };
}

function methodIn(peft: PeftConfig): [AdapterMethodName, AdapterMethod] {
  const found = (Object.entries(adapterMethods) as [AdapterMethodName, AdapterMethod][]).find(
    ([, { peftType, fileFlags }]) =>
      peftType === peft.peft_type &&
      Object.entries(fileFlags).every(
        ([key, flag]) => idleOptions.includes(key) || (peft[key] ?? false) === flag,
      ),
  );
  if (!found) {
    const what = `peft_type ${JSON.stringify(peft.peft_type)}`;
    throw promptMethods.test(peft.peft_type)
      ? new StudioError(
          'model_unsupported',
          `The adapter uses ${what}, which the studio does not read.`,
          'It changes no weights and cannot be merged: use it in PEFT.',
        )
      : unsupported(what);
  }
  return found;
}

function checkSupported(peft: PeftConfig, method: AdapterMethod): void {
  if (peft.bias !== 'none') throw unsupported(`bias "${peft.bias}"`);
  for (const key of foreignOptions) {
    const value = peft[key];
    const absent = value === undefined || value === null || value === false;
    if (absent || (Array.isArray(value) && value.length === 0)) continue;
    throw unsupported(`${key} ${JSON.stringify(value).slice(0, 100)}`);
  }
  const start = peft.init_lora_weights;
  if (!harmlessStarts.includes(start))
    throw unsupported(
      `init_lora_weights "${String(start)}" (it changes the base weights)`,
      convertibleStarts.test(String(start))
        ? 'Save it with PEFT as the LoRA of the unchanged base that it amounts to: save_pretrained(FOLDER, path_initial_model_for_weight_conversion=INITIAL), with the adapter as INITIAL that was saved before training with init_lora_weights = True. Or merge it with PEFT and import the merged model.'
        : undefined,
    );
  const known = new Set([
    ...Object.keys(peftConfigSchema.shape),
    ...Object.keys(method.fileFlags),
    ...Object.keys(method.fileKeys),
    ...foreignOptions,
    ...idleOptions,
  ]);
  for (const [key, value] of Object.entries(peft))
    if (!known.has(key) && isSwitchedOn(value))
      throw unsupported(
        `${key} ${JSON.stringify(value).slice(0, 100)}, an option of a newer or changed PEFT`,
      );
  const pattern = [peft.layers_pattern ?? []].flat().filter((name) => name !== '');
  if (pattern.some((name) => name !== 'layers')) throw unsupported(`layers_pattern ${pattern.join(', ')}`);
}

/**
 * Whether an unknown option does something: PEFT switches what is new on with true, a list or an object of settings.
 * Numbers and words beside a switch that is off have no effect.
 */
function isSwitchedOn(value: unknown): boolean {
  return value === true || (typeof value === 'object' && value !== null && Object.keys(value).length > 0);
}

function unsupported(
  what: string,
  remedy = 'Merge the adapter with PEFT and import the merged model instead.',
): StudioError {
  return new StudioError(
    'model_unsupported',
    `The adapter uses ${what}, which the studio does not read.`,
    remedy,
  );
}

function invalid(error: z.ZodError, nameOf: (key: string) => string): StudioError {
  const issue = error.issues[0]!;
  const [first, ...rest] = issue.path.map(String);
  const path = [...(first === undefined ? [] : [nameOf(first)]), ...rest].join('.');
  return new StudioError(
    'adapter_invalid',
    `adapter_config.json: ${path}: ${issue.message}.`,
    'Correct the value in adapter_config.json; PEFT’s save_pretrained writes one that is right.',
  );
}
