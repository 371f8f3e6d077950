import { methods, targetModules } from '../../src-main/contract/training.ts';
import {
  baseSwitches,
  isAdapterOption,
  optionDeclarations,
  type OptionName,
} from '../../src-main/options/trainingOptions.ts';
import { methodSigns } from '../ui/methods.ts';

/** How an option is shown: its name as these tools have it, what it means, and the values of a choice in words. */
export interface FieldText {
  label: string;
  /** One line, shown on hover and focus. */
  definition: string;
  unit?: string;
  /** What an empty box means. */
  placeholder?: string;
  /** Fractions are allowed. */
  isFraction?: boolean;
  /** Shown as so many times the value, for percent. */
  scale?: number;
  choices?: Readonly<Record<string, string>>;
}

const losesNothing = 'The answers change nothing of the training.';

export const fieldTexts: Readonly<Record<OptionName, FieldText>> = {
  method: {
    label: 'Method',
    definition: 'What is attached to the base model, or trained of it.',
    choices: Object.fromEntries(methods.map((method) => [method, methodSigns[method].label])),
  },
  rank: { label: 'Rank', definition: 'Rank r of the update: how many directions it can use.' },
  alpha: { label: 'Alpha', definition: 'The update is scaled by alpha / rank.', isFraction: true },
  dropout: {
    label: 'Dropout',
    definition:
      'Share of the adapter’s input that is left out of a step by chance (ID-LoRA: of the pivot activations).',
    isFraction: true,
  },
  targets: { label: 'Target modules', definition: 'Linear modules of every layer that get an adapter.' },
  rankStabilized: {
    label: 'rsLoRA',
    definition:
      'Scales the update by alpha / √rank instead of alpha / rank: high ranks learn as fast as low ones.',
  },
  clusters: {
    label: 'Clusters',
    definition: 'Groups of frozen rows, each a subspace of its own that the router weighs (k in the paper).',
  },
  boost: {
    label: 'Boost',
    definition: 'Cuts rank and outputs into s parts: B has s² times fewer parameters (s in the paper).',
  },
  pivots: {
    label: 'Pivots',
    definition:
      'How the frozen rows are chosen: by clustering (PMRC, the paper), in order, or at random. As ablations other bases stand in their place: Gaussian numbers, or the singular vectors of W.',
    choices: {
      pmrc: 'PMRC',
      serial: 'serial',
      random: 'random',
      gaussian: 'no rows: Gaussian',
      svd: 'no rows: singular vectors',
    },
  },
  router: {
    label: 'Router',
    definition:
      'What decides how much each cluster counts: the module’s input (the paper’s Table 6), or the pivot activations (smaller). Fixed, as an ablation: all alike.',
    choices: { input: 'module input', pivot: 'pivot activations', fixed: 'none: all alike' },
  },
  routerSoftmax: {
    label: 'Router softmax',
    definition: 'The clusters’ weights add up to 1; without it they are free.',
  },
  heads: { label: 'Heads', definition: 'Up-projections B that share one A.' },
  experts: {
    label: 'Experts',
    definition: 'LoRA pairs that are mixed (with the task gate the rank is divided among them).',
  },
  gate: {
    label: 'Gate',
    definition: 'What weighs the experts: every token for itself, or the task of the row.',
    choices: { token: 'per token', task: 'per task' },
  },
  tasks: { label: 'Tasks', definition: 'How many tasks the dataset’s rows name.' },
  layers: {
    label: 'Layers',
    definition: 'Layers that get an adapter, from 0, for example 0-7,12.',
    placeholder: 'all',
  },
  paths: {
    label: 'Module paths',
    definition: 'Of these modules and layers only those named here, one path a line.',
    placeholder: 'all of them',
  },
  rankPattern: {
    label: 'Rank pattern',
    definition:
      'Ranks of single modules, one a line: the end of a module’s path, or an expression for it, = rank.',
    placeholder: 'q_proj=16',
  },
  alphaPattern: {
    label: 'Alpha pattern',
    definition:
      'Alphas of single modules, one a line: the end of a module’s path, or an expression for it, = alpha.',
    placeholder: 'q_proj=32',
  },
  learningRate: {
    label: 'Learning rate',
    definition: 'The highest rate, reached after the warm-up.',
    isFraction: true,
  },
  schedule: {
    label: 'LR scheduler',
    definition: 'How the rate falls after the warm-up.',
    choices: {
      constant: 'constant',
      linear: 'linear',
      cosine: 'cosine',
      cosine_with_min_lr: 'cosine to lowest rate',
      polynomial: 'polynomial',
      inverse_sqrt: 'inverse square root',
      warmup_stable_decay: 'stable, then decay',
    },
  },
  warmupSteps: {
    label: 'Warm-up steps',
    definition: 'Steps over which the rate rises from 0.',
    unit: 'steps',
  },
  minLearningRateRatio: {
    label: 'Lowest rate',
    definition: 'The rate at the end, as a share of the learning rate.',
    placeholder: 'as usual',
    unit: '%',
    scale: 100,
    isFraction: true,
  },
  decaySteps: {
    label: 'Decay steps',
    definition: 'Steps over which the rate falls at the end.',
    placeholder: 'a tenth',
    unit: 'steps',
  },
  polynomialPower: {
    label: 'Power',
    definition: 'Exponent of the decay: 1 is a straight line.',
    isFraction: true,
  },
  maxSteps: { label: 'Max steps', definition: 'Optimizer steps of the run.', unit: 'steps' },
  epochs: { label: 'Epochs', definition: 'Passes over the training rows.', isFraction: true },
  batch: { label: 'Batch size', definition: 'Rows in one forward pass.', unit: 'rows' },
  accumulate: {
    label: 'Gradient accumulation',
    definition: 'Forward passes in one optimizer step: as if the batch were so many times larger.',
  },
  context: {
    label: 'Context length',
    definition: 'Longest row; longer rows are cut, and counted.',
    unit: 'tokens',
  },
  packing: {
    label: 'Packing',
    definition:
      'A batch is of packs of short rows, as long as the context, that do not see each other: a step sees more rows, and a pass has fewer steps. Without it a step has exactly the rows of its batch, also side by side.',
  },
  gradientCheckpointing: {
    label: 'Gradient checkpointing',
    definition: 'Computes activations again in the backward pass: less memory, more time.',
  },
  precision: {
    label: 'Precision',
    definition:
      'bf16 takes less memory, and less time where the machine multiplies bf16 itself; f32 is exact.',
    choices: { f32: 'f32', bf16: 'bf16' },
  },
  tf32: {
    label: 'TF32 products',
    definition:
      'On a card, rounds what f32 products take to 10 bits: faster, and the numbers are no longer those of f32. Off: products are exact. On a processor it changes nothing.',
  },
  baseWeights: {
    label: 'Base weights',
    definition:
      'How the frozen weights of linear modules are kept. In 8 bits: a half of their memory in bf16, rounded to 127 steps a row. In 4 bits, as QLoRA does: a quarter, rounded to 16 steps in blocks of 64; ID-LoRA reads rows of the rounded weights. Either takes more time.',
    choices: { none: 'as stored', int8: '8 bits', nf4: '4 bits (NF4)' },
  },
  seed: {
    label: 'Seed',
    definition: 'Decides order, held-out rows and first values: equal seeds give equal runs.',
  },
  optimizer: {
    label: 'Optimizer',
    definition:
      'AdamW in 8 bits keeps a quarter of AdamW’s state in memory; SGD keeps none, or one number with momentum.',
    choices: { adamw: 'AdamW', adamw8bit: 'AdamW, 8-bit states', sgd: 'SGD' },
  },
  momentum: { label: 'Momentum', definition: 'Share of the last step that goes on.', isFraction: true },
  beta1: { label: 'Beta 1', definition: 'How slowly AdamW’s mean of gradients follows.', isFraction: true },
  beta2: { label: 'Beta 2', definition: 'How slowly AdamW’s mean of squares follows.', isFraction: true },
  epsilon: { label: 'Epsilon', definition: 'Keeps AdamW’s division from zero.', isFraction: true },
  weightDecay: {
    label: 'Weight decay',
    definition: 'Pulls trained weights towards zero, times the rate, each step.',
    isFraction: true,
  },
  clipNorm: {
    label: 'Gradient clipping',
    definition: 'Largest norm of all gradients together; longer ones are shortened to it.',
    placeholder: 'none',
    isFraction: true,
  },
  loraPlusRatio: {
    label: 'LoRA+ ratio',
    definition: 'The rate of B matrices is this many times the learning rate.',
    unit: '×',
    isFraction: true,
  },
  heldOutFraction: {
    label: 'Held out',
    definition: 'Share of rows kept for the held-out loss, chosen by seed.',
    unit: '%',
    scale: 100,
    isFraction: true,
  },
  heldOutRows: {
    label: 'Held-out rows',
    definition: 'At most so many of them are scored at each evaluation.',
    unit: 'rows',
  },
  evalEvery: {
    label: 'Eval steps',
    definition: 'Steps between held-out evaluations; 0: only at the end.',
    unit: 'steps',
  },
  earlyStoppingPatience: {
    label: 'Early stopping',
    definition: 'Ends after so many evaluations without a lower held-out loss.',
    placeholder: 'never',
    unit: 'evals',
  },
  keepBest: {
    label: 'Keep best',
    definition: 'Keeps the checkpoint with the lowest held-out loss, and ends with it.',
  },
  checkpointEvery: {
    label: 'Save steps',
    definition:
      'Steps between checkpoints; 0: none by steps. One is written every ten minutes besides, and at the end.',
    unit: 'steps',
  },
  template: {
    label: 'Template',
    definition: 'How conversations become text.',
    choices: {
      auto: 'automatic: the model’s own, else the format’s',
      model: 'the model’s own',
      alpaca: 'Alpaca',
      question_answer: 'question and answer',
      chatml: 'ChatML',
      plain: 'plain roles',
      none: 'none: as written',
      custom: 'one’s own (Jinja)',
    },
  },
  templateSource: {
    label: 'Template text',
    definition: 'Jinja with the variables of transformers’ chat templates: messages, add_generation_prompt.',
  },
  system: {
    label: 'System text',
    definition: 'Put before conversations that have none.',
    placeholder: 'none',
  },
  trainOn: {
    label: 'Trained turns',
    definition: 'Which turns are learned: every answer, the last one, or everything.',
    choices: { assistant: 'every answer', last: 'the last answer', all: 'everything' },
  },
  truncation: {
    label: 'Long rows',
    definition: 'What happens to rows that are longer than the context.',
    choices: { right: 'their end is cut', left: 'their begin is cut', drop: 'they are left out' },
  },
  samples: {
    label: 'Samples',
    definition: `Prompts that are answered before, during and after training. ${losesNothing}`,
  },
};

/** The option’s name in files, and whose name that is. */
export function fileKey(name: OptionName): string {
  if (name === 'baseWeights') return `transformers: ${baseSwitches.map(({ key: own }) => own).join(', ')}`;
  const { key } = optionDeclarations[name];
  const own = [
    ...['method', 'samples', 'held_out_fraction', 'held_out_rows', 'momentum', 'precision'],
    ...['template', 'template_source', 'system', 'train_on', 'truncation', 'module_paths'],
  ];
  if (own.includes(key)) return `In files: ${key}`;
  if (isAdapterOption(name) || name === 'loraPlusRatio') return `PEFT: ${key}`;
  return `transformers: ${key}`;
}

/** A value of an option in words, for lists of differences. */
export function valueText(name: OptionName, value: unknown): string {
  const { choices, unit, placeholder, scale = 1 } = fieldTexts[name];
  if (value === null || value === '')
    return placeholder && name !== 'rankPattern' && name !== 'alphaPattern' ? placeholder : 'none';
  if (typeof value === 'boolean') return value ? 'on' : 'off';
  if (typeof value === 'number') {
    const scaled = Number((scale * value).toPrecision(12));
    return unit === '%' ? `${scaled} %` : String(scaled);
  }
  if (typeof value === 'string') return choices?.[value] ?? value.replaceAll('\n', ', ');
  if (Array.isArray(value))
    return value.join() === targetModules.join() ? 'all 7' : value.length === 0 ? 'none' : value.join(', ');
  const { prompts } = value as { prompts?: string[] };
  if (prompts)
    return prompts.length === 0 ? 'none' : `${prompts.length} prompt${prompts.length === 1 ? '' : 's'}`;
  return JSON.stringify(value);
}
