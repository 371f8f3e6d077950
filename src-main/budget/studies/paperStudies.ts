import type { Dataset, Model } from '../../contract/entities.ts';
import type { PaperStudyId, StudyArm } from '../../contract/studies.ts';
import {
  trainConfigSchema,
  type AdapterConfig,
  type Method,
  type TrainConfig,
} from '../../contract/training.ts';
import { publishedCounts, type PublishedCount } from '../paper.ts';
import { isPaperData, type PaperData } from './studyData.ts';

/** A setting that a question asks for, before it is checked against the model. */
export interface WantedArm extends Pick<StudyArm, 'label' | 'remainder' | 'published'> {
  /** Everything but the seed. */
  config: TrainConfig;
}

/** A study of the paper that can be repeated. */
export interface PaperStudy {
  id: PaperStudyId;
  title: string;
  /** What it shows. */
  purpose: string;
  model: PaperModel;
  data: PaperData;
  /** Table 4 and 5. */
  learningRate: number;
  epochs: number;
  /** What the paper scores the adapters with. */
  scoredWith: string;
}

interface PaperModel {
  label: string;
  /** The preset of its sizes. */
  preset: string;
  family: string;
  parameters: number;
}

const llama8b: PaperModel = {
  label: 'LLaMA-3-8B',
  preset: 'llama-3-8b',
  family: 'llama',
  parameters: 8_030_261_248,
};
const mistral7b: PaperModel = {
  label: 'Mistral-7B',
  preset: 'mistral-7b',
  family: 'mistral',
  parameters: 7_241_732_096,
};
const llama3b: PaperModel = {
  label: 'LLaMA-3.2-3B',
  preset: 'llama-3.2-3b',
  family: 'llama',
  parameters: 3_212_749_824,
};

const mixture: PaperData = {
  label: 'Alpaca, GSM8K (train) and half of CodeAlpaca in one',
  pattern: /multi|mix/i,
};
const multiScores = 'GSM8K test, MMLU test, CommonsenseQA dev and HumanEval';

const tasks = [
  {
    id: 'gsm8k',
    data: { label: 'GSM8K (train)', pattern: /gsm8k/i },
    epochs: 3,
    llama: 5e-5,
    mistral: 3e-5,
    scoredWith: 'GSM8K test',
  },
  {
    id: 'codealpaca',
    data: { label: 'CodeAlpaca', pattern: /code[_-]?alpaca/i },
    epochs: 2,
    llama: 5e-5,
    mistral: 5e-5,
    scoredWith: 'HumanEval',
  },
  {
    id: 'saferpaca',
    data: { label: 'Saferpaca', pattern: /safer/i },
    epochs: 2,
    llama: 1e-4,
    mistral: 1e-4,
    scoredWith: 'the refusal rate on HEx-PHI',
  },
] as const;

const pair = [
  ['llama', llama8b],
  ['mistral', mistral7b],
] as const;

/** Tables 1, 2, 3, 7 and 8, with the settings of Tables 4 and 5 (appendix B.1). */
export const paperStudies: readonly PaperStudy[] = [
  ...tasks.flatMap(({ id, data, epochs, scoredWith, ...rates }) =>
    pair.map(([name, model]): PaperStudy => ({
      id: `table1-${id}-${name}`,
      title: `Table 1, ${data.label}, ${model.label}`,
      purpose: 'The methods on a single task.',
      model,
      data,
      epochs,
      scoredWith,
      learningRate: rates[name],
    })),
  ),
  ...pair.map(([name, model]): PaperStudy => ({
    id: `table2-${name}`,
    title: `Table 2, ${model.label}`,
    purpose: 'The methods on several tasks at once.',
    model,
    data: mixture,
    epochs: 2,
    scoredWith: multiScores,
    learningRate: 5e-5,
  })),
  {
    id: 'table3',
    title: `Table 3, ${llama3b.label}`,
    purpose: 'Pivots by clustering (PMRC), in order or at random, and rank boosting.',
    model: llama3b,
    data: mixture,
    epochs: 2,
    scoredWith: multiScores,
    learningRate: 5e-5,
  },
  {
    id: 'table7',
    title: `Table 7 and Figure 4, ${llama8b.label}`,
    purpose: 'LoRA of rank 4 to 32 against ID-LoRA of rank 32 to 256: about equal budgets.',
    model: llama8b,
    data: mixture,
    epochs: 2,
    scoredWith: multiScores,
    learningRate: 5e-5,
  },
  {
    id: 'table8',
    title: `Table 8, ${llama3b.label}`,
    purpose: 'ID-LoRA of rank 128 with 2, 4, 6 and 8 clusters.',
    model: llama3b,
    data: mixture,
    epochs: 2,
    scoredWith: multiScores,
    learningRate: 5e-5,
  },
];

export function paperStudy(id: PaperStudyId): PaperStudy {
  return paperStudies.find((study) => study.id === id)!;
}

/** Longest row where the model has room for it. */
const rowTokens = 512;

/** What the paper leaves open, and how it is filled here. */
const openPoints = [
  `The paper names no schedule, no clipping and no length of rows: linear, clipping at a norm of 1 and ${rowTokens} tokens here. Its batch of 32 is made of 8 passes of 4 rows, in bf16.`,
  'Tables 4 and 5 give the settings of ID-LoRA; the text says that the other adapters share them, alpha = 2 r among them. Full fine-tuning takes the same rate and no dropout.',
];

/** Where a study with a model and a dataset is not the paper's, and what the paper leaves open. */
export function studyNotes(
  { model, data }: PaperStudy,
  given: {
    model: Pick<Model, 'name' | 'family' | 'parameters' | 'contextLength'>;
    /** What the study trains on: one dataset, or those of a mix. */
    data: {
      name: string;
      datasets: readonly Pick<Dataset, 'name' | 'sourcePath' | 'benchmarkRows' | 'rows'>[];
    };
  },
): string[] {
  return [
    ...(isPaperModel(model, given.model)
      ? []
      : [
          `The paper trains ${model.label}; this is ${given.model.name}: scores cannot be compared with its own.`,
        ]),
    ...(given.data.datasets.length === 1 && isPaperData(data, given.data.datasets[0]!)
      ? []
      : [`The paper trains on ${data.label}; this is ${given.data.name}.`]),
    ...(given.model.contextLength < rowTokens
      ? [
          `${given.model.name} has a context of ${given.model.contextLength} tokens: rows end there, not at ${rowTokens}.`,
        ]
      : []),
    ...openPoints,
  ];
}

/** By family and parameters: names are a person's. */
export function isPaperModel(
  { family, parameters }: PaperModel,
  given: Pick<Model, 'family' | 'parameters'>,
): boolean {
  // A Llama counted with its tied head twice has up to an eighth more.
  return given.family === family && given.parameters >= parameters && given.parameters < 1.15 * parameters;
}

/**
 * The rows of a study's table, with the share that the paper prints.
 * @param contextLength positions of the model
 */
export function paperArms(id: PaperStudyId, contextLength: number): WantedArm[] {
  const study = paperStudy(id);
  const rows = id === 'table8' ? clusterRows : countedRows(id, study.model.preset);
  return rows.map(({ method, settings, printed }) => ({
    label: labelOf(method, settings),
    remainder: null,
    published: printed,
    config: { ...protocol(method, settings, study), context: Math.min(rowTokens, contextLength) },
  }));
}

type Row = Pick<PublishedCount, 'method' | 'settings'> & { printed: string | null };

/** Table 8 prints no counts. */
const clusterRows: readonly Row[] = [2, 4, 6, 8].map((clusters) => ({
  method: 'idlora',
  settings: { rank: 128, clusters, boost: 2, router: 'input' },
  printed: null,
}));

/** Rows whose counts the paper prints: its Table 1 has the same for each task. */
function countedRows(id: PaperStudyId, preset: string): readonly Row[] {
  const table = id.split('-')[0];
  return publishedCounts.filter((count) => count.table === table && count.model === preset);
}

/** lora r32, idlora r128 k8, idlora r128 serial, idlora r32 s1: what differs from the paper's own settings is named. */
function labelOf(method: Method, { rank, clusters, boost, pivots }: PublishedCount['settings']): string {
  if (method === 'full') return method;
  return [
    `${method} r${rank}`,
    ...(clusters !== undefined && clusters !== 4 ? [`k${clusters}`] : []),
    ...(boost === 1 ? ['s1'] : []),
    ...(pivots !== undefined && pivots !== 'pmrc' ? [pivots] : []),
  ].join(' ');
}

/** Appendix B.1: alpha = 2 r, dropout 0.05, AdamW, batch 32, no warm-up, all seven linears. */
function protocol(
  method: Method,
  settings: PublishedCount['settings'],
  { learningRate, epochs }: PaperStudy,
): TrainConfig {
  const adapter: Partial<AdapterConfig> =
    method === 'full' ? { alpha: 1, dropout: 0 } : { alpha: 2 * settings.rank, dropout: 0.05 };
  return trainConfigSchema.parse({
    adapter: { method, ...adapter, ...settings },
    learningRate,
    epochs,
    batch: 4,
    accumulate: 8,
    precision: 'bf16',
    // The paper trains on every row and scores elsewhere.
    heldOutFraction: 0,
    heldOutRows: 0,
  });
}
