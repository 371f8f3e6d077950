import { datasetSchema, modelSchema, type Model } from '../../../src-main/contract/entities.ts';

/** Sizes of Llama-3-8B. */
export const llama3: Model = modelSchema.parse({
  id: 'm1',
  name: 'Llama-3-8B',
  folder: '/models/llama',
  copied: false,
  family: 'llama',
  parameters: 8_030_261_248,
  dtype: 'BF16',
  sizeBytes: 16_060_522_496,
  contextLength: 8192,
  vocabularySize: 128_256,
  hiddenSize: 4096,
  intermediateSize: 14_336,
  layers: 32,
  heads: 32,
  keyValueHeads: 8,
  contentHash: 'a'.repeat(64),
  unusable: null,
  createdAt: '2026-01-01T00:00:00.000Z',
});

/** The same with q, k, v and gate, up in one matrix each. */
export const fused: Model = {
  ...llama3,
  id: 'm2',
  name: 'fused',
  architecture: {
    headDim: 128,
    tieEmbeddings: false,
    queryKeyValueBias: false,
    outputBias: false,
    mlpBias: false,
    queryKeyNorm: 'none',
    normPlacement: 'before',
    fusedProjections: true,
  },
};

export const sums = datasetSchema.parse({
  id: 'd1',
  name: 'sums',
  sourcePath: '/data/sums.jsonl',
  file: 'datasets/sums.jsonl',
  format: 'gsm8k',
  rows: 1000,
  sizeBytes: 100_000,
  contentHash: 'b'.repeat(64),
  statistics: {
    promptCharactersMean: 60,
    promptCharactersMax: 90,
    answerCharactersMean: 20,
    answerCharactersMax: 30,
    duplicateRows: 0,
  },
  benchmarkRows: [],
  createdAt: '2026-01-01T00:00:00.000Z',
});

export const library = { models: [llama3, fused], datasets: [sums], mixes: [], runs: [] };
