import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { generate } from '../../../src-main/engine/inference/generate.ts';
import { loadTensorflow } from '../../../src-main/engine/runtime/loadTensorflow.ts';
import { loadTokenizer } from '../../../src-main/formats/model/tokenizer.ts';
import {
  askLlamaCpp,
  drawnAdapter,
  exportGguf,
  hasLlamaCpp,
  writeBase,
  type LlamaCppJob,
} from '../../support/parity/llamaCpp.ts';
import { logitsOf, parityCase } from '../../support/parity/parityCase.ts';
import { maxDifference } from '../../support/parity/recordedValues.ts';
import { patchedFolder } from '../../support/patchedFolder.ts';
import { hasSharedData, projectFolder, sharedData, sharedNote } from '../../support/paths.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';

/** Committed, also in `npm run parity`: what llama.cpp found holds for files of these bytes. */
const [fixtures, recorded] = [
  join(projectFolder, 'tests', 'fixtures'),
  join(projectFolder, 'tests', 'parity', 'recorded'),
];
const work = temporaryFolder();
const ids = [1, 20, 33, 47, 5, 90, 14];
/** Longer than the windows of Gemma's layers, and than what the long factors of a rope begin at. */
const longIds = [...ids, 8, 61, 77, 3, 44, 52, 9, 10, 11, 60, 70, 80, 25, 26, 27, 28, 29];

interface Case {
  name: string;
  modelFolder: string;
  adapterFolder: string | null;
  job: LlamaCppJob;
}

/** Config changes without which llama.cpp has no such model: it scales Gemma's scores by the width of a head. */
const patches: Readonly<Record<string, Record<string, unknown>>> = {
  'tiny-gemma2': { query_pre_attn_scalar: 8 },
  'tiny-gemma3': { query_pre_attn_scalar: 8, layer_types: new Array<string>(4).fill('sliding_attention') },
  'tiny-smollm3': {
    no_rope_layers: [1, 1, 1],
    use_sliding_window: false,
    layer_types: new Array<string>(3).fill('full_attention'),
  },
};

const folderOf = (model: string) =>
  patches[model] ? patchedFolder(model, { 'config.json': patches[model] }) : join(fixtures, model);

function baseOf(model: string, modelFolder: string): string {
  const path = join(work, `${model}.gguf`);
  writeBase(modelFolder, path);
  return path;
}

function baseCase(model: string): Case {
  const modelFolder = folderOf(model);
  const isLong = /gemma[23]|long/.test(model);
  const job = { model: baseOf(model, modelFolder), prompts: [isLong ? longIds : ids] };
  return { name: model, modelFolder, adapterFolder: null, job };
}

/** A recorded adapter, beside its base or merged into it. */
function adapterCase(name: string, format: 'gguf-lora' | 'gguf'): Case {
  const { model } = parityCase(name);
  const own = join(work, `${name}-${format}`);
  mkdirSync(own);
  const modelFolder = join(fixtures, model);
  const file = exportGguf(format, { modelFolder, checkpoint: join(recorded, name), work: own });
  const job =
    format === 'gguf'
      ? { model: file, prompts: [ids] }
      : { model: baseOf(model, modelFolder), lora: file, prompts: [ids] };
  return { name: `${name} as ${format}`, modelFolder, adapterFolder: join(recorded, name, 'adapter'), job };
}

const cases = [
  ...[
    ...[
      'tiny-llama',
      'tiny-llama-rope',
      'tiny-llama-yarn',
      'tiny-llama-linear',
      'tiny-mistral',
      'tiny-qwen2',
    ],
    ...[
      'tiny-qwen3',
      'tiny-gemma',
      'tiny-gemma2',
      'tiny-gemma3',
      'tiny-phi3',
      'tiny-phi3-long',
      'tiny-smollm3',
    ],
  ].map(baseCase),
  ...[
    ...['tiny-llama-lora', 'tiny-llama-lora-patterns', 'tiny-llama-lora-placed', 'tiny-llama-rope-lora'],
    ...['tiny-mistral-lora', 'tiny-qwen2-lora', 'tiny-qwen3-lora', 'tiny-gemma-lora', 'tiny-phi3-lora'],
  ].map((name) => adapterCase(name, 'gguf-lora')),
  ...['tiny-llama-lora', 'tiny-qwen2-dora', 'tiny-phi3-dora', 'tiny-gemma-lora'].map((name) =>
    adapterCase(name, 'gguf'),
  ),
];

const quick = [
  'tiny-llama-rope',
  'tiny-qwen3',
  'tiny-gemma3',
  'tiny-phi3-long',
  'tiny-smollm3',
  'tiny-llama-lora-placed as gguf-lora',
  'tiny-qwen2-lora as gguf-lora',
  'tiny-phi3-lora as gguf-lora',
  'tiny-qwen2-dora as gguf',
];

describe('llama.cpp on the studio’s GGUF files', () => {
  const theirs = askLlamaCpp(
    'llamaCpp',
    cases.map(({ job }) => job),
    work,
  );
  // From what is recorded one of each kind is computed, which takes seconds; all where llama.cpp runs.
  const computed = cases
    .map((own, i) => ({ own, i }))
    .filter(({ own }) => hasLlamaCpp || quick.includes(own.name));
  it.each(computed.map(({ own, i }) => [own.name, own, i] as const))(
    'computes what the engine computes: %s',
    async (_, own, i) => {
      const [prompt] = own.job.prompts;
      const logits = await logitsOf(own.modelFolder, prompt!, own.adapterFolder);
      const width = logits.length / prompt!.length;
      const ours = prompt!.map((_, row) => logSoftmax(logits.subarray(row * width, (row + 1) * width)));
      const difference = maxDifference(ours.flat(), theirs[i]!.logProbabilities[0]!.flat());
      // Its GELU comes out of a table of f16 numbers.
      expect(difference).toBeLessThan(own.name.includes('gemma') ? 2e-3 : 5e-5);
    },
  );
});

function logSoftmax(logits: Float32Array): number[] {
  const most = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  const sum = logits.reduce((total, value) => total + Math.exp(value - most), 0);
  return [...logits].map((value) => value - most - Math.log(sum));
}

const texts = [
  ...[
    'Once upon a time',
    'Lily and Ben went to the park.',
    'The cat said',
    'One day, a little boy named Tim',
  ],
  ...[
    '"Can I play too?" asked',
    'Tom had a big red ball',
    'In the forest there lived a bear',
    'She was very sad',
  ],
  ...['The sun was shining and', 'Mom gave Anna a cookie', 'There was a dog named Max.', 'They found a box'],
  ...['At night the stars', 'He ran fast, but', 'A bird flew over the house', 'Sara likes to draw'],
  ...[
    'The big truck went',
    'It was a rainy day',
    'Jack saw a frog in the water',
    'Her name was Mia  and she',
  ],
];

describe.skipIf(!hasSharedData)(`stories260K in llama.cpp${sharedNote}`, () => {
  const modelFolder = sharedData('stories260K-hf');
  const opened = () => {
    const own = join(work, 'stories');
    mkdirSync(own, { recursive: true });
    const tokenizer = loadTokenizer(modelFolder);
    const prompts = texts.map((text) => tokenizer.encode(text, { specialTokens: true }));
    const checkpoint = drawnAdapter(modelFolder, own, 0.2);
    const lora = exportGguf('gguf-lora', { modelFolder, checkpoint, work: own });
    const merged = exportGguf('gguf', { modelFolder, checkpoint, work: own });
    const base = join(own, 'base.gguf');
    writeBase(modelFolder, base);
    const asked = { prompts, texts, maxTokens: 40 };
    const jobs = [
      { ...asked, model: base },
      { ...asked, model: base, lora },
      { ...asked, model: merged },
    ];
    const results = askLlamaCpp('llamaCpp-stories260K', jobs, own);
    return { prompts, results, adapterFolder: join(checkpoint, 'adapter') };
  };

  it('cuts texts alike, and answers 20 prompts alike: base, adapter and merged', async () => {
    const { prompts, results, adapterFolder } = opened();
    const answers = async (adapter: string | null) => {
      const { rows } = await generate(
        {
          kind: 'generate',
          model: { folder: modelFolder, precision: 'f32', adapterFolder: adapter },
          prompts,
          maxTokens: 40,
          temperature: 0,
          topP: 1,
          seed: 1,
          stop: [],
          endIds: [1, 2],
          batch: prompts.length,
        },
        {
          tf: loadTensorflow().tf,
          fusion: false,
          products: 'native',
          emit: () => undefined,
          stopRequested: async () => null,
        },
      );
      return rows.map((row) => row.ids);
    };
    const cut = (found: number[][]) =>
      found.map((row) =>
        row.some((id) => id < 3)
          ? row.slice(
              0,
              row.findIndex((id) => id < 3),
            )
          : row,
      );
    const [plain, adapted] = [cut(await answers(null)), cut(await answers(adapterFolder))];
    expect(plain).not.toEqual(adapted);
    // Behind the token that begins a text.
    const bare = prompts.map((prompt) => prompt.slice(1));
    for (const { tokens } of results) expect(tokens).toEqual(bare);
    expect(results.map((result) => cut(result.answers))).toEqual([plain, adapted, adapted]);
  });
});
