import { describe, expect, it } from 'vitest';
import type { Sample } from '../../../src-main/contract/runRecords.ts';
import type { TrainConfigInput } from '../../../src-main/contract/training.ts';
import { generate } from '../../../src-main/engine/inference/generate.ts';
import { trainedFolder } from '../../../src-main/formats/checkpoint/checkpointFolder.ts';
import type { EngineEvent } from '../../../src-main/engine/messages.ts';
import { loadTensorflow } from '../../../src-main/engine/runtime/loadTensorflow.ts';
import { loadTokenizer } from '../../../src-main/formats/model/tokenizer.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';
import { tinyLlama } from '../../support/paths.ts';
import { checkpointFiles, lossesOf, trainTiny } from '../../support/trainingRun.ts';

const samples = {
  prompts: ['12 + 30 =', 'A longer prompt, of more tokens than the other one: '],
  maxTokens: 9,
};
const lora: TrainConfigInput = {
  adapter: { method: 'lora', rank: 4, alpha: 8, dropout: 0.2 },
  learningRate: 3e-2,
  maxSteps: 6,
  batch: 3,
  context: 32,
  seed: 5,
  evalEvery: 3,
  checkpointEvery: 0,
};
const samplesOf = (events: readonly EngineEvent[]): Sample[] =>
  events.flatMap((event) => {
    if (event.type !== 'sample') return [];
    const { type: _type, ...sample } = event;
    return [sample];
  });
const stepsOf = (events: readonly EngineEvent[]) => [...new Set(samplesOf(events).map(({ step }) => step))];

/** What `generate` says, in a session of its own. */
async function answers(adapterFolder: string | null, precision: 'f32' | 'bf16') {
  const tokenizer = loadTokenizer(tinyLlama);
  const { rows } = await generate(
    {
      kind: 'generate',
      model: { folder: tinyLlama, precision, adapterFolder },
      prompts: samples.prompts.map((prompt) => tokenizer.encode(prompt, { specialTokens: true })),
      maxTokens: samples.maxTokens,
      temperature: 0,
      topP: 1,
      seed: 0,
      stop: [],
      endIds: [],
      batch: 2,
    },
    {
      tf: loadTensorflow().tf,
      fusion: false,
      emit: () => undefined,
      stopRequested: async () => null,
    },
  );
  return rows.map(({ ids, text, end }, prompt) => ({ prompt, text, tokens: ids.length, end }));
}

const cases: [string, TrainConfigInput][] = [
  ['LoRA', lora],
  ['LoRA in bf16', { ...lora, precision: 'bf16' }],
  ['ID-LoRA, accumulating', { ...lora, adapter: { ...lora.adapter, method: 'idlora' }, accumulate: 2 }],
  [
    'MoELoRA with a task gate, checkpointed',
    {
      ...lora,
      adapter: { ...lora.adapter, method: 'moelora', experts: 2, gate: 'task' },
      gradientCheckpointing: true,
    },
  ],
  ['packed HydraLoRA', { ...lora, adapter: { ...lora.adapter, method: 'hydralora' }, packing: true }],
];

describe.each(cases)('%s', (_name, config) => {
  it('is trained bit for bit as without samples, and says what the base and the checkpoint say', async () => {
    const plain = await trainTiny({ config, folder: temporaryFolder() });
    const sampled = await trainTiny({ config: { ...config, samples }, folder: temporaryFolder() });
    expect(lossesOf(plain.events)).toHaveLength(6);
    expect(lossesOf(sampled.events)).toEqual(lossesOf(plain.events));
    expect(sampled.events.filter(({ type }) => type === 'eval')).toEqual(
      plain.events.filter(({ type }) => type === 'eval'),
    );
    expect(checkpointFiles(sampled.result.checkpoint!)).toEqual(checkpointFiles(plain.result.checkpoint!));

    expect(samplesOf(plain.events)).toEqual([]);
    expect(stepsOf(sampled.events)).toEqual([0, 3, 6]);
    const at = (step: number) =>
      samplesOf(sampled.events).flatMap(({ step: own, ...rest }) => (own === step ? [rest] : []));
    const precision = config.precision ?? 'f32';
    expect(at(0)).toEqual(await answers(null, precision));
    const adapter = trainedFolder(sampled.result.checkpoint!, config.adapter.method);
    expect(at(6)).toEqual(await answers(adapter, precision));
    expect(at(6)).not.toEqual(at(0));
  });
});

it('full fine-tuning answers with the weights it has reached', async () => {
  const config: TrainConfigInput = {
    ...lora,
    adapter: { method: 'full', rank: 1, alpha: 1 },
    learningRate: 1e-2,
  };
  const plain = await trainTiny({ config, folder: temporaryFolder() });
  const sampled = await trainTiny({ config: { ...config, samples }, folder: temporaryFolder() });
  expect(lossesOf(sampled.events)).toEqual(lossesOf(plain.events));
  const first = samplesOf(sampled.events).slice(0, 2);
  expect(first).toEqual((await answers(null, 'f32')).map((answer) => ({ step: 0, ...answer })));
  expect(samplesOf(sampled.events).at(-1)!.text).not.toBe(first.at(-1)!.text);
});

it('answers every so many steps and after the last one; a resumed run goes on without the base', async () => {
  const folder = temporaryFolder();
  const config = { ...lora, samples: { ...samples, every: 4 } };
  const first = await trainTiny({ config, folder, stopAfter: 5 });
  expect(stepsOf(first.events)).toEqual([0, 4]);
  const second = await trainTiny({ config, folder, resumeFrom: first.result.checkpoint });
  expect(stepsOf(second.events)).toEqual([6]);
});

it('refuses a prompt that leaves no room for an answer before anything is trained', async () => {
  const config = { ...lora, samples: { ...samples, prompts: ['word '.repeat(390)] } };
  await expect(trainTiny({ config, folder: temporaryFolder() })).rejects.toMatchObject({
    code: 'config_invalid',
    message: expect.stringMatching(/sample prompt "word .* has \d+ tokens/) as string,
  });
});
