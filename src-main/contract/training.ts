import { z } from 'zod';
import { longestTemplate, templateNameSchema, trainOnSchema, truncationSchema } from './templates.ts';

/** Adapter methods the studio knows. `full` trains every base parameter. */
export const methods = ['full', 'lora', 'dora', 'hydralora', 'moelora', 'idlora'] as const;
export const methodSchema = z.enum(methods);
export type Method = z.infer<typeof methodSchema>;

/** The seven linear modules of a decoder layer, in the order of the forward pass (Hugging Face names). */
export const targetModules = [
  'q_proj',
  'k_proj',
  'v_proj',
  'o_proj',
  'gate_proj',
  'up_proj',
  'down_proj',
] as const;
/** Modules of decoders that keep q, k, v and gate, up in one matrix each (Phi-3): adapted as such, as PEFT does. */
export const fusedModules = ['qkv_proj', 'gate_up_proj'] as const;
export const targetModuleSchema = z.enum([...targetModules, ...fusedModules]);
export type TargetModule = z.infer<typeof targetModuleSchema>;

/** How rows of W are chosen that become frozen bases. */
export const rowStrategies = ['pmrc', 'serial', 'random'] as const;
/** Bases that are no rows of W, to see what the rows are worth: ablations, not the paper's. */
export const matrixStrategies = ['gaussian', 'svd'] as const;
export const pivotStrategySchema = z.enum([...rowStrategies, ...matrixStrategies]);
export type RowStrategy = (typeof rowStrategies)[number];
export type MatrixStrategy = (typeof matrixStrategies)[number];
export const routerKindSchema = z.enum(['input', 'pivot', 'fixed']);
export type RouterKind = z.infer<typeof routerKindSchema>;
export const precisionSchema = z.enum(['f32', 'bf16']);
export type Precision = z.infer<typeof precisionSchema>;
/** Learning-rate schedules, by transformers' names. */
export const schedules = [
  'constant',
  'linear',
  'cosine',
  'cosine_with_min_lr',
  'polynomial',
  'inverse_sqrt',
  'warmup_stable_decay',
] as const;
export const scheduleSchema = z.enum(schedules);
export type Schedule = z.infer<typeof scheduleSchema>;
export const optimizerSchema = z.enum(['adamw', 'adamw8bit', 'sgd']);
export type OptimizerName = z.infer<typeof optimizerSchema>;
export const gateSchema = z.enum(['token', 'task']);
export type Gate = z.infer<typeof gateSchema>;

/** What is attached to the base model: method, rank and the method's own options (names as in PEFT). */
export const adapterConfigSchema = z.object({
  method: methodSchema,
  /** Rank r of the update. */
  rank: z.number().int().min(1).max(65536),
  /** lora_alpha; the update is scaled by alpha / rank. */
  alpha: z.number().positive(),
  /** rsLoRA (PEFT: use_rslora): the update is scaled by alpha / sqrt(rank) instead. */
  rankStabilized: z.boolean().default(false),
  /** Ranks of single modules (PEFT: rank_pattern): end of a module path, or a regular expression for it -> rank. */
  rankPattern: z.record(z.string().min(1).max(200), z.number().int().min(1).max(65536)).default({}),
  /** Alphas of single modules (PEFT: alpha_pattern). */
  alphaPattern: z.record(z.string().min(1).max(200), z.number().positive()).default({}),
  /** Dropout on the adapter's input (LoRA) or on the pivot activations x_i (ID-LoRA), 0 to below 1. */
  dropout: z.number().min(0).lt(1).default(0),
  targets: z
    .array(targetModuleSchema)
    .min(1)
    .default([...targetModules]),
  /** Layers that are adapted, from 0 (PEFT: layers_to_transform); null: all. */
  layers: z.array(z.number().int().min(0).max(9999)).min(1).nullable().default(null),
  /** The adapted modules themselves, where they are only a part of `targets` and `layers`; null: all of these. */
  paths: z
    .array(z.string().regex(/^model\.layers\.\d{1,4}\.(?:self_attn|mlp)\.\w+$/, 'no path of a linear module'))
    .min(1)
    .max(100_000)
    .nullable()
    .default(null),
  /** ID-LoRA: number of clusters k. */
  clusters: z.number().int().min(1).max(64).default(4),
  /** ID-LoRA: boosting s; s divides rank and every d_out. */
  boost: z.number().int().min(1).max(64).default(2),
  /** ID-LoRA: how the frozen rows are chosen, or what stands in their place. */
  pivots: pivotStrategySchema.default('pmrc'),
  /**
   * ID-LoRA: router on the module's input (reproduces the paper's Table 6) or on the pivot activations; fixed: none,
   * all clusters count alike.
   */
  router: routerKindSchema.default('input'),
  /** ID-LoRA, input router: softmax over the clusters. */
  routerSoftmax: z.boolean().default(true),
  /** HydraLoRA: number of B heads. */
  heads: z.number().int().min(1).max(64).default(3),
  /** MoELoRA: number of experts. */
  experts: z.number().int().min(1).max(64).default(4),
  /** MoELoRA: experts are weighted per token (as the ID-LoRA paper counts it) or per task (Liu et al.). */
  gate: gateSchema.default('token'),
  /** MoELoRA, task gate: number of tasks. */
  tasks: z.number().int().min(1).max(1000).default(1),
});
export type AdapterConfig = z.infer<typeof adapterConfigSchema>;

/** Prompts that are answered during training: most of them, and characters of one. */
export const mostSamplePrompts = 8;
export const longestSamplePrompt = 2000;

/** What the model is asked while it trains. The answers (greedy) change nothing of the training. */
export const samplesConfigSchema = z.object({
  /** What a user says: through the run's template, where the model has one or one was chosen; else as they stand. */
  prompts: z.array(z.string().min(1).max(longestSamplePrompt)).min(1).max(mostSamplePrompts),
  /**
   * Steps between answers; 0: with each evaluation. The base model answers before the first step, and the trained one
   * after the last.
   */
  every: z.number().int().min(0).default(0),
  /** Tokens of an answer at most. */
  maxTokens: z.number().int().min(1).max(512).default(64),
});
export type SamplesConfig = z.infer<typeof samplesConfigSchema>;

/** Everything that decides what a training run computes. Two runs with equal values and data are equal. */
export const trainConfigSchema = z.object({
  adapter: adapterConfigSchema,
  /** Peak learning rate. */
  learningRate: z.number().positive().max(10).default(2e-4),
  schedule: scheduleSchema.default('linear'),
  /** Optimizer steps over which the rate rises linearly from 0. */
  warmupSteps: z.number().int().min(0).default(0),
  /**
   * The rate at the end as a share of the peak: cosine_with_min_lr (null: 0.1), polynomial (null: a rate of 1e-7) and
   * warmup_stable_decay (null: 0).
   */
  minLearningRateRatio: z.number().min(0).max(1).nullable().default(null),
  /** warmup_stable_decay: steps of the decay at the end; null: a tenth of all. */
  decaySteps: z.number().int().min(1).nullable().default(null),
  /** polynomial: exponent of the decay. */
  polynomialPower: z.number().positive().max(10).default(1),
  /** Passes over the training rows; ignored where maxSteps is set. */
  epochs: z.number().positive().default(1),
  /** Optimizer steps; null: from epochs. */
  maxSteps: z.number().int().min(1).nullable().default(null),
  /** Rows in one forward pass. */
  batch: z.number().int().min(1).default(4),
  /** Forward passes per optimizer step. */
  accumulate: z.number().int().min(1).default(1),
  /** Longest row in tokens; longer rows are cut or left out (`truncation`) and counted. */
  context: z.number().int().min(8).default(256),
  /** How conversations become text; prompt and answer as they are written, and plain texts, stay as they are. */
  template: templateNameSchema.default('auto'),
  /** Template `custom`: its Jinja source. */
  templateSource: z.string().min(1).max(longestTemplate).nullable().default(null),
  /** System text for conversations that have none; null: none is added. */
  system: z.string().min(1).max(longestTemplate).nullable().default(null),
  /** Which turns are trained on. */
  trainOn: trainOnSchema.default('assistant'),
  /** What happens to rows that are longer than the context. */
  truncation: truncationSchema.default('right'),
  /** Several short rows share one row of the batch, without seeing each other. */
  packing: z.boolean().default(false),
  /** Activations inside a layer are computed again in the backward pass instead of being kept. */
  gradientCheckpointing: z.boolean().default(false),
  seed: z.number().int().min(0).max(0x7fffffff).default(0),
  precision: precisionSchema.default('f32'),
  /**
   * On a card products of f32 numbers round them to the 10 bits of TF32, which is faster and no longer f32. Nothing
   * else rounds so: with bf16, and on a processor, it changes nothing.
   */
  tf32: z.boolean().default(false),
  /**
   * The frozen weights of linear modules are kept in 8 bits, each row with a scale of its own (transformers:
   * load_in_8bit).
   */
  loadIn8bit: z.boolean().default(false),
  /**
   * They are kept in 4 bits: NF4, blocks of 64 with scales in 8 bits (transformers: load_in_4bit with
   * bnb_4bit_quant_type nf4 and bnb_4bit_use_double_quant).
   */
  loadIn4bit: z.boolean().default(false),
  /** `adamw8bit` keeps Adam's moments in 8 bits; `sgd` uses momentum instead of Adam's betas and epsilon. */
  optimizer: optimizerSchema.default('adamw'),
  /** SGD: momentum. */
  momentum: z.number().min(0).lt(1).default(0),
  /** LoRA+ (Hayou et al. 2024): the rate of B matrices is this many times the learning rate. */
  loraPlusRatio: z.number().positive().max(1000).default(1),
  weightDecay: z.number().min(0).default(0),
  beta1: z.number().min(0).lt(1).default(0.9),
  beta2: z.number().min(0).lt(1).default(0.999),
  epsilon: z.number().positive().default(1e-8),
  /** Largest global gradient norm; null: no clipping. */
  clipNorm: z.number().positive().nullable().default(1),
  /** Fraction of rows held out for the evaluation loss, chosen by seed. */
  heldOutFraction: z.number().min(0).max(0.5).default(0.02),
  /** At most this many held-out rows are scored at each evaluation. */
  heldOutRows: z.number().int().min(0).default(64),
  /** Steps between evaluations; 0: only at the end. */
  evalEvery: z.number().int().min(0).default(0),
  /** Steps between checkpoints; 0: none by steps. One is due every ten minutes besides, and at the end. */
  checkpointEvery: z.number().int().min(0).default(50),
  /** Training ends after so many evaluations without a lower held-out loss; null: never early. */
  earlyStoppingPatience: z.number().int().min(1).nullable().default(null),
  /** Keep the checkpoint with the lowest held-out loss, and end with it. */
  keepBest: z.boolean().default(false),
  /** Prompts that are answered during training; null: none. */
  samples: samplesConfigSchema.nullable().default(null),
});
export type TrainConfig = z.infer<typeof trainConfigSchema>;

/**
 * How the frozen weights of linear modules are kept: in the compute type, in 8 bits with a scale for each row, or in 4
 * (NF4).
 */
export const quantizationSchema = z.enum(['none', 'int8', 'nf4']);
export type Quantization = z.infer<typeof quantizationSchema>;

/** As configurations have it, in two switches with transformers' names. */
export function quantizationOptions(kept: Quantization): Pick<TrainConfig, 'loadIn8bit' | 'loadIn4bit'> {
  return { loadIn8bit: kept === 'int8', loadIn4bit: kept === 'nf4' };
}

/** What they say; both at once are refused (options/checkOptions.ts). */
export function quantizationOf({
  loadIn8bit,
  loadIn4bit,
}: Pick<TrainConfig, 'loadIn8bit' | 'loadIn4bit'>): Quantization {
  return loadIn4bit ? 'nf4' : loadIn8bit ? 'int8' : 'none';
}

/** Where one option stands in a configuration. */
export type ConfigPath =
  | readonly ['adapter', keyof AdapterConfig, ...(string | number)[]]
  | readonly [Exclude<keyof TrainConfig, 'adapter'>, ...(string | number)[]];
/** A TrainConfig as typed in by a person: everything with a default may be absent. */
export type TrainConfigInput = z.input<typeof trainConfigSchema>;
