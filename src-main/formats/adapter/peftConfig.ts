import { z } from 'zod';
import { compilePatternMap } from '../../shape/modulePatterns.ts';
import { StudioError } from '../../contract/errors.ts';
import { adapterConfigSchema, targetModuleSchema, type AdapterConfig } from '../../contract/training.ts';
import type { AdapterMethod } from '../../methods/method.ts';
import { adapterMethods, methodOf, type AdapterMethodName } from '../../methods/registry.ts';

/** adapter_config.json: PEFT's keys; the methods' own (src-main/methods) are read from what is left. */
const peftConfigSchema = z.looseObject({
  peft_type: z.string(),
  r: z.number().int().min(1).max(65536),
  lora_alpha: z.number().positive(),
  lora_dropout: z.number().min(0).lt(1).default(0),
  target_modules: z.union([z.string(), z.array(z.string()).min(1).max(64)]),
  bias: z.string().default('none'),
  use_rslora: z.boolean().default(false),
  rank_pattern: z.record(z.string(), z.unknown()).nullish(),
  alpha_pattern: z.record(z.string(), z.unknown()).nullish(),
  layers_to_transform: z.union([z.number(), z.array(z.number())]).nullish(),
  layers_pattern: z.union([z.string(), z.array(z.string())]).nullish(),
  init_lora_weights: z.union([z.boolean(), z.string()]).nullish(),
  base_sha256: z.string().nullish(),
});
type PeftConfig = z.output<typeof peftConfigSchema>;

/** Options of PEFT's LoRA that change what the adapter computes or where it is, and that the engine does not have. */
const foreignOptions = [
  'fan_in_fan_out',
  'modules_to_save',
  'exclude_modules',
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

/** Starts that leave the base weights as they are; the others (PiSSA, OLoRA, CorDA, LoftQ, ...) change them. */
const harmlessStarts: readonly unknown[] = [undefined, null, true, false, 'gaussian', 'orthogonal', 'eva'];

/** Names under which options of ours stand in the file, for messages. */
const fileNames: Readonly<Record<string, string>> = {
  rank: 'r',
  alpha: 'lora_alpha',
  dropout: 'lora_dropout',
  rankPattern: 'rank_pattern',
  alphaPattern: 'alpha_pattern',
  layers: 'layers_to_transform',
};

/**
 * Reads the content of adapter_config.json.
 * @throws StudioError adapter_invalid (a value of the wrong kind), model_unsupported (an option that the engine lacks,
 * by name)
 */
export function parsePeftConfig(raw: unknown): { config: AdapterConfig; baseSha256: string | null } {
  const parsed = peftConfigSchema.safeParse(raw);
  if (!parsed.success) throw invalid(parsed.error, (key) => key);
  const peft = parsed.data;
  const [name, method] = methodIn(peft);
  checkSupported(peft);
  const chosen = new Set(peft.target_modules);
  const config = adapterConfigSchema.safeParse({
    method: name,
    rank: peft.r,
    alpha: peft.lora_alpha,
    rankStabilized: peft.use_rslora,
    rankPattern: peft.rank_pattern ?? undefined,
    alphaPattern: peft.alpha_pattern ?? undefined,
    dropout: peft.lora_dropout,
    targets: targetModuleSchema.options.filter((name) => chosen.has(name)),
    layers: layersOf(peft),
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
      compilePatternMap(config.data[map]);
    } catch (error) {
      throw error instanceof StudioError
        ? new StudioError('model_unsupported', `${fileNames[map]}: ${error.message}`, error.remedy)
        : error;
    }
  return { config: config.data, baseSha256: peft.base_sha256 ?? null };
}

/** adapter_config.json of an adapter: PEFT's keys and, for methods of our own, those of the method. */
export function peftConfigOf(
  adapter: AdapterConfig,
  base: { name: string; sha256: string },
): Record<string, unknown> {
  const method = methodOf(adapter);
  if (!method) throw new Error('full fine-tuning has no adapter folder');
  return {
    peft_type: method.peftType,
    task_type: 'CAUSAL_LM',
    base_model_name_or_path: base.name,
    r: adapter.rank,
    lora_alpha: adapter.alpha,
    lora_dropout: adapter.dropout,
    target_modules: adapter.targets,
    ...(adapter.rankStabilized && { use_rslora: true }),
    ...(Object.keys(adapter.rankPattern).length > 0 && { rank_pattern: adapter.rankPattern }),
    ...(Object.keys(adapter.alphaPattern).length > 0 && { alpha_pattern: adapter.alphaPattern }),
    ...(adapter.layers && { layers_to_transform: adapter.layers }),
    bias: 'none',
    inference_mode: true,
    ...method.fileFlags,
    ...Object.fromEntries(Object.entries(method.fileKeys).map(([key, option]) => [key, adapter[option]])),
    ...(method.refersToBase && { base_sha256: base.sha256 }),
  };
}

function methodIn(peft: PeftConfig): [AdapterMethodName, AdapterMethod] {
  const found = (Object.entries(adapterMethods) as [AdapterMethodName, AdapterMethod][]).find(
    ([, { peftType, fileFlags }]) =>
      peftType === peft.peft_type &&
      Object.entries(fileFlags).every(([key, flag]) => (peft[key] ?? false) === flag),
  );
  if (!found) throw unsupported(`peft_type ${JSON.stringify(peft.peft_type)}`);
  return found;
}

function checkSupported(peft: PeftConfig): void {
  if (peft.bias !== 'none') throw unsupported(`bias "${peft.bias}"`);
  for (const key of foreignOptions) {
    const value = peft[key];
    const absent = value === undefined || value === null || value === false;
    if (absent || (Array.isArray(value) && value.length === 0)) continue;
    throw unsupported(`${key} ${JSON.stringify(value).slice(0, 100)}`);
  }
  if (!harmlessStarts.includes(peft.init_lora_weights))
    throw unsupported(`init_lora_weights "${String(peft.init_lora_weights)}" (it changes the base weights)`);
  if (typeof peft.target_modules === 'string')
    throw unsupported(`one expression as target_modules ("${peft.target_modules.slice(0, 100)}")`);
  const foreign = peft.target_modules.filter(
    (name) => !(targetModuleSchema.options as readonly string[]).includes(name),
  );
  if (foreign.length > 0) throw unsupported(`target modules ${foreign.join(', ')}`);
  const pattern = [peft.layers_pattern ?? []].flat().filter((name) => name !== '');
  if (pattern.some((name) => name !== 'layers')) throw unsupported(`layers_pattern ${pattern.join(', ')}`);
}

/** One layer or a list; an empty list means all, as in PEFT. */
function layersOf(peft: PeftConfig): number[] | null {
  const layers = [peft.layers_to_transform ?? []].flat();
  return layers.length === 0 ? null : [...new Set(layers)].sort((a, b) => a - b);
}

function unsupported(what: string): StudioError {
  return new StudioError(
    'model_unsupported',
    `The adapter uses ${what}, which the studio does not read.`,
    'Merge the adapter with PEFT and import the merged model instead.',
  );
}

function invalid(error: z.ZodError, nameOf: (key: string) => string): StudioError {
  const issue = error.issues[0]!;
  const [first, ...rest] = issue.path.map(String);
  const path = [...(first === undefined ? [] : [nameOf(first)]), ...rest].join('.');
  return new StudioError(
    'adapter_invalid',
    `adapter_config.json: ${path}: ${issue.message}.`,
    'Export the adapter again.',
  );
}
