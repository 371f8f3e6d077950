import { existsSync, lstatSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { z } from 'zod';
import { StudioError } from '../contract/errors.ts';
import {
  adapterConfigSchema,
  targetModules,
  type AdapterConfig,
  type Method,
  type TargetModule,
} from '../contract/training.ts';
import { syncFolder, writeFileAtomic } from './atomicFile.ts';
import { readJsonObject } from './jsonFile.ts';
import { SafetensorsFile, writeSafetensors, type SafetensorsDType } from './safetensors.ts';

/**
 * Adapter folders as PEFT lays them out: adapter_config.json and adapter_model.safetensors. Keys are
 * `base_model.model.` + Hugging Face module path + `.` + suffix. The methods that PEFT does not have use the same layout
 * with a peft_type of their own.
 */
const keyPrefix = 'base_model.model.';
const configName = 'adapter_config.json';
const tensorsName = 'adapter_model.safetensors';

const peftTypes: Record<Exclude<Method, 'full' | 'dora'>, string> = {
  lora: 'LORA',
  idlora: 'IDLORA',
  hydralora: 'HYDRALORA',
  moelora: 'MOELORA',
};

const peftConfigSchema = z.object({
  peft_type: z.string(),
  r: z.number().int().min(1).max(65536),
  lora_alpha: z.number().positive(),
  lora_dropout: z.number().min(0).lt(1).default(0),
  target_modules: z.array(z.string()).min(1).max(64),
  bias: z.string().default('none'),
  use_dora: z.boolean().default(false),
  use_rslora: z.boolean().default(false),
  fan_in_fan_out: z.boolean().default(false),
  modules_to_save: z.array(z.string()).nullish(),
  rank_pattern: z.record(z.string(), z.unknown()).nullish(),
  alpha_pattern: z.record(z.string(), z.unknown()).nullish(),
  layers_to_transform: z.unknown().optional(),
  num_clusters: z.number().int().min(1).max(64).optional(),
  boost: z.number().int().min(1).max(64).optional(),
  router: z.enum(['input', 'pivot']).optional(),
  router_softmax: z.boolean().optional(),
  pivots: z.enum(['pmrc', 'serial', 'random']).optional(),
  num_heads: z.number().int().min(1).max(64).optional(),
  num_experts: z.number().int().min(1).max(64).optional(),
  base_sha256: z.string().nullish(),
});

export interface AdapterFolder {
  config: AdapterConfig;
  /** SHA-256 of the base weights that pivots refer to; null where the writer did not say. */
  baseSha256: string | null;
  tensors: SafetensorsFile;
  /** Key of a module's tensor: Hugging Face path and suffix. */
  key(modulePath: string, suffix: string): string;
}

export interface AdapterTensor {
  modulePath: string;
  suffix: string;
  dtype: SafetensorsDType;
  shape: readonly number[];
  data: Uint8Array | (() => Uint8Array);
}

/** The key under which a module's tensor is stored. */
export function adapterKey(modulePath: string, suffix: string): string {
  return `${keyPrefix}${modulePath}.${suffix}`;
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
  const parsed = peftConfigSchema.safeParse(raw);
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    throw new StudioError(
      'adapter_invalid',
      `${configName}: ${issue.path.join('.')}: ${issue.message}.`,
      'Export the adapter again.',
    );
  }
  const config = adapterConfigFrom(parsed.data);
  return {
    config,
    baseSha256: parsed.data.base_sha256 ?? null,
    tensors: new SafetensorsFile(join(folder, tensorsName), 'adapter_invalid'),
    key: adapterKey,
  };
}

function adapterConfigFrom(peft: z.output<typeof peftConfigSchema>): AdapterConfig {
  const unsupported = (what: string) =>
    new StudioError(
      'model_unsupported',
      `The adapter uses ${what}, which the studio does not read.`,
      'Merge the adapter with PEFT and import the merged model instead.',
    );
  const named = Object.entries(peftTypes).find(([, type]) => type === peft.peft_type)?.[0] as
    Method | undefined;
  if (!named) throw unsupported(`peft_type ${JSON.stringify(peft.peft_type)}`);
  if (peft.bias !== 'none') throw unsupported(`bias "${peft.bias}"`);
  if (peft.fan_in_fan_out) throw unsupported('fan_in_fan_out');
  if (peft.use_rslora) throw unsupported('use_rslora');
  if (peft.modules_to_save?.length) throw unsupported(`modules_to_save ${peft.modules_to_save.join(', ')}`);
  for (const pattern of ['rank_pattern', 'alpha_pattern'] as const)
    if (Object.keys(peft[pattern] ?? {}).length > 0) throw unsupported(pattern);
  if (peft.layers_to_transform != null) throw unsupported('layers_to_transform');
  const foreign = peft.target_modules.filter((name) => !(targetModules as readonly string[]).includes(name));
  if (foreign.length > 0) throw unsupported(`target modules ${foreign.join(', ')}`);
  const chosen = new Set(peft.target_modules);
  return adapterConfigSchema.parse({
    method: named === 'lora' && peft.use_dora ? 'dora' : named,
    rank: peft.r,
    alpha: peft.lora_alpha,
    dropout: peft.lora_dropout,
    targets: targetModules.filter((name): name is TargetModule => chosen.has(name)),
    clusters: peft.num_clusters,
    boost: peft.boost,
    pivots: peft.pivots,
    router: peft.router,
    routerSoftmax: peft.router_softmax,
    heads: peft.num_heads,
    experts: peft.num_experts,
  });
}

/** adapter_config.json of an adapter: PEFT's keys and, for methods of our own, those of the method. */
function peftConfigOf(
  adapter: AdapterConfig,
  base: { name: string; sha256: string },
): Record<string, unknown> {
  if (adapter.method === 'full') throw new Error('full fine-tuning has no adapter folder');
  const common = {
    peft_type: adapter.method === 'dora' ? 'LORA' : peftTypes[adapter.method],
    task_type: 'CAUSAL_LM',
    base_model_name_or_path: base.name,
    r: adapter.rank,
    lora_alpha: adapter.alpha,
    lora_dropout: adapter.dropout,
    target_modules: adapter.targets,
    bias: 'none',
    inference_mode: true,
  };
  switch (adapter.method) {
    case 'lora':
      return { ...common, fan_in_fan_out: false };
    case 'dora':
      return { ...common, fan_in_fan_out: false, use_dora: true };
    case 'hydralora':
      return { ...common, num_heads: adapter.heads };
    case 'moelora':
      return { ...common, num_experts: adapter.experts };
    case 'idlora':
      return {
        ...common,
        num_clusters: adapter.clusters,
        boost: adapter.boost,
        router: adapter.router,
        router_softmax: adapter.routerSoftmax,
        pivots: adapter.pivots,
        base_sha256: base.sha256,
      };
    default:
      throw new Error(`unknown method ${String(adapter.method satisfies never)}`);
  }
}

/**
 * Writes an adapter folder: complete or absent. An existing adapter folder is replaced, anything else is left alone.
 * @returns names of the files
 * @throws StudioError name_taken where `folder` exists and is no adapter
 */
export function writeAdapterFolder(
  folder: string,
  adapter: AdapterConfig,
  base: { name: string; sha256: string },
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
      tensors.map(({ modulePath, suffix, ...tensor }) => ({
        name: adapterKey(modulePath, suffix),
        ...tensor,
      })),
    );
    writeFileAtomic(join(temporary, configName), `${JSON.stringify(peftConfigOf(adapter, base), null, 2)}\n`);
    writeFileAtomic(join(temporary, 'README.md'), modelCard(adapter, base.name));
    if (existing) rmSync(folder, { recursive: true });
    renameSync(temporary, folder);
    syncFolder(dirname(folder));
  } catch (error) {
    rmSync(temporary, { recursive: true, force: true });
    throw error;
  }
  return [tensorsName, configName, 'README.md'];
}

function modelCard(adapter: AdapterConfig, baseName: string): string {
  const native = adapter.method === 'lora' || adapter.method === 'dora';
  return [
    '---',
    'library_name: peft',
    `base_model: ${JSON.stringify(baseName)}`,
    '---',
    '',
    `# ${adapter.method} adapter, rank ${adapter.rank}`,
    '',
    `Base model: ${baseName}. Modules: ${adapter.targets.join(', ')}. alpha ${adapter.alpha}, dropout ${adapter.dropout}.`,
    '',
    native
      ? '    from peft import PeftModel\n    model = PeftModel.from_pretrained(base_model, "this folder")'
      : `PEFT has no method ${adapter.method}: its loader needs a module that registers this peft_type.`,
    '',
  ].join('\n');
}
