import {
  methods,
  trainConfigSchema,
  type Method,
  type TrainConfig,
} from '../../src-main/contract/training.ts';
import {
  flatten,
  nest,
  normalized,
  optionNames,
  type FlatConfig,
  type OptionName,
} from '../../src-main/options/trainingOptions.ts';

/** Options that make another option matter. */
const needed: Partial<Record<OptionName, Partial<FlatConfig>>> = {
  clusters: { method: 'idlora' },
  boost: { method: 'idlora' },
  pivots: { method: 'idlora' },
  router: { method: 'idlora' },
  routerSoftmax: { method: 'idlora' },
  heads: { method: 'hydralora' },
  experts: { method: 'moelora' },
  gate: { method: 'moelora' },
  tasks: { method: 'moelora', gate: 'task' },
  minLearningRateRatio: { schedule: 'warmup_stable_decay' },
  decaySteps: { schedule: 'warmup_stable_decay' },
  polynomialPower: { schedule: 'polynomial' },
  momentum: { optimizer: 'sgd' },
  templateSource: { template: 'custom' },
};

/** For every option, values that are not its default. */
const others: { [K in OptionName]: FlatConfig[K][] } = {
  method: [...methods],
  rank: [3],
  alpha: [0.5],
  dropout: [0.05],
  targets: [['v_proj', 'q_proj'], ['qkv_proj']],
  rankStabilized: [true],
  clusters: [3],
  boost: [1],
  pivots: ['serial', 'random'],
  router: ['pivot'],
  routerSoftmax: [false],
  heads: [5],
  experts: [2],
  gate: ['task'],
  tasks: [7],
  layers: [[0], [0, 1, 2, 5, 7, 8]],
  paths: [['model.layers.0.self_attn.q_proj', 'model.layers.1.mlp.up_proj']],
  rankPattern: [{ q_proj: 4, 'layers\\.[0-3]\\.mlp\\..*': 2 }, { 'layers.[0,1].mlp.up_proj': 3 }],
  alphaPattern: [{ '^v_proj$': 0.5 }],
  learningRate: [5e-5, 1.5e-7],
  schedule: ['constant', 'cosine', 'cosine_with_min_lr', 'polynomial', 'inverse_sqrt', 'warmup_stable_decay'],
  warmupSteps: [12],
  minLearningRateRatio: [0.1, 0],
  decaySteps: [9],
  polynomialPower: [1.7],
  maxSteps: [30],
  epochs: [0.5, 3],
  batch: [1],
  accumulate: [8],
  context: [4096],
  truncation: ['left', 'drop'],
  template: ['model', 'alpaca', 'question_answer', 'chatml', 'plain', 'none', 'custom'],
  templateSource: ["{% for m in messages %}\n  {{ m.content + '\\n' }}{% endfor %}\n"],
  system: ['Answer “briefly”,\nplease.'],
  trainOn: ['last', 'all'],
  packing: [true],
  gradientCheckpointing: [true],
  precision: ['bf16'],
  tf32: [true],
  baseWeights: ['int8', 'nf4'],
  seed: [2147483647],
  optimizer: ['adamw8bit', 'sgd'],
  momentum: [0.9],
  beta1: [0.85],
  beta2: [0.95],
  epsilon: [1e-6, 1e-12],
  weightDecay: [0.01],
  clipNorm: [null, 0.3],
  loraPlusRatio: [16],
  heldOutFraction: [0, 0.07],
  heldOutRows: [0, 1000],
  evalEvery: [25],
  earlyStoppingPatience: [3],
  keepBest: [true],
  checkpointEvery: [0],
  samples: [{ prompts: ["What is 1 + 1?\nIt's", '„é“'], every: 10, maxTokens: 8 }],
};

/** One configuration for each value of each option that matters with a method, and one with the defaults. */
export function variedConfigs(): { label: string; config: TrainConfig }[] {
  return methods.flatMap((method) => [
    { label: `${method}, as it is`, config: configOf({ method }) },
    ...optionNames
      .filter((name) => name !== 'method')
      .flatMap((name) =>
        others[name].map((value) => ({
          label: `${method}, ${name} ${JSON.stringify(value)}`,
          config: configOf({ ...needed[name], method, [name]: value }),
          name,
          value,
        })),
      )
      // What does not matter with this method would be tested as the default.
      .filter(({ config, name, value }) => JSON.stringify(flatten(config)[name]) === JSON.stringify(value)),
    ...polynomialEnds(method),
  ]);
}

/** The lowest rate has other names with other schedules. */
function polynomialEnds(method: Method): { label: string; config: TrainConfig }[] {
  return (['polynomial', 'cosine_with_min_lr'] as const).map((schedule) => ({
    label: `${method}, ${schedule} to a share of 0.07`,
    config: configOf({ method, schedule, minLearningRateRatio: 0.07, learningRate: 3e-5 }),
  }));
}

function configOf(options: Partial<FlatConfig>): TrainConfig {
  const { adapter, ...run } = nest(options);
  return normalized(trainConfigSchema.parse({ adapter: { rank: 8, alpha: 16, ...adapter }, ...run }));
}
