import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { createRandom } from '../../../src-main/statistics/random.ts';
import { choices } from '../../../src-main/engine/inference/choices.ts';
import { generate } from '../../../src-main/engine/inference/generate.ts';
import type { EngineEvent } from '../../../src-main/engine/messages.ts';
import type { GenerateRequest } from '../../../src-main/engine/protocol.ts';
import { loadTensorflow } from '../../../src-main/engine/runtime/loadTensorflow.ts';
import { join } from 'node:path';
import { readDecoderConfig } from '../../../src-main/formats/families/huggingFaceConfig.ts';
import { fixtures, hasSharedData, recorded, sharedData, sharedNote, tinyLlama } from '../../support/paths.ts';

const context = {
  tf: loadTensorflow().tf,
  fusion: false,
  emit: () => undefined,
  stopRequested: async () => null,
};
const request = (rest: Partial<GenerateRequest>): GenerateRequest => ({
  kind: 'generate',
  model: { folder: tinyLlama, precision: 'f32', adapterFolder: null },
  prompts: [],
  maxTokens: 12,
  temperature: 0,
  topP: 1,
  seed: 1,
  stop: [],
  endIds: [],
  batch: 8,
  ...rest,
});

describe.skipIf(!hasSharedData)(`stories260K${sharedNote}`, () => {
  const model = { folder: sharedData('stories260K-hf'), precision: 'f32', adapterFolder: null } as const;
  const expected = hasSharedData
    ? (JSON.parse(readFileSync(sharedData('stories260K-hf', 'expected_greedy.json'), 'utf8')) as {
        prompt_ids: number[];
        greedy_ids: number[];
        text: string;
      })
    : { prompt_ids: [], greedy_ids: [], text: '' };

  it('greedy text equals the recorded one', async () => {
    const { rows } = await generate(
      request({ model, prompts: [expected.prompt_ids], maxTokens: 190 }),
      context,
    );
    expect([...expected.prompt_ids, ...rows[0]!.ids]).toEqual(expected.greedy_ids);
    expect(`Once upon a time${rows[0]!.text}`).toBe(expected.text);
  });

  it('a stop string ends a row before it', async () => {
    const { rows } = await generate(
      request({ model, prompts: [expected.prompt_ids], maxTokens: 100, stop: ['girl'] }),
      context,
    );
    expect(rows[0]).toMatchObject({ text: ', there was a little ', end: 'stop' });
  });

  it('a full context ends a row', async () => {
    const prompt = [...expected.greedy_ids, ...expected.greedy_ids, ...expected.greedy_ids].slice(0, 505);
    const { rows } = await generate(request({ model, prompts: [prompt], maxTokens: 100 }), context);
    expect(rows[0]!.ids.length).toBeLessThanOrEqual(7);
    expect(['context', 'end_id']).toContain(rows[0]!.end);
  });
});

it('prompts of different lengths decode in one batch as they do alone', async () => {
  const prompts = [
    [1, 5, 9],
    [1, 70, 71, 72, 73, 74, 75, 76],
    [1, 40],
    Array.from({ length: 70 }, (_, i) => 3 + (i % 90)),
  ];
  const together = await generate(request({ prompts }), context);
  for (const [i, prompt] of prompts.entries()) {
    const alone = await generate(request({ prompts: [prompt] }), context);
    expect(together.rows[i]!.ids, `prompt ${i}`).toEqual(alone.rows[0]!.ids);
  }
});

it('sampling depends on the seed only, not on the batch', async () => {
  const prompts = [
    [1, 5, 9],
    [1, 70, 71, 72],
  ];
  const sampled = request({ prompts, temperature: 1.2, topP: 0.9 });
  const first = await generate(sampled, context);
  expect((await generate(sampled, context)).rows).toEqual(first.rows);
  expect((await generate({ ...sampled, batch: 1 }, context)).rows).toEqual(first.rows);
  expect((await generate({ ...sampled, seed: 2 }, context)).rows).not.toEqual(first.rows);
});

it('refuses prompts that leave no room', async () => {
  await expect(
    generate(request({ prompts: [Array(96).fill(5) as number[]] }), context),
  ).rejects.toMatchObject({
    code: 'usage',
    message: expect.stringContaining("model's context of 96") as string,
  });
});

describe('rows are told as they end', () => {
  const prompts = Array.from({ length: 7 }, (_, i) => [1, 5 + i, 9 + 3 * i]);
  const events: EngineEvent[] = [];
  const told = () => events.flatMap((event) => (event.type === 'generated' ? event.rows : []));
  const emitting = { ...context, emit: (event: EngineEvent) => void events.push(event) };
  const sampled = request({ prompts, batch: 3, temperature: 1.1, endIds: [7, 8, 9, 10, 11, 12, 13, 14] });

  it('each once, with what the result says of it', async () => {
    events.length = 0;
    const { rows } = await generate(sampled, emitting);
    expect(new Set(rows.map(({ ids }) => ids.length)).size).toBeGreaterThan(1);
    expect(told().toSorted((a, b) => a.index - b.index)).toEqual(rows.map((row, index) => ({ index, row })));
  });

  it('so that the rest, asked for by its numbers, is drawn as it would have been', async () => {
    events.length = 0;
    const stopped = { ...emitting, stopRequested: async () => (told().length > 0 ? { save: false } : null) };
    await expect(generate(sampled, stopped)).rejects.toMatchObject({ code: 'cancelled' });
    const known = new Set(told().map(({ index }) => index));
    expect(known.size).toBeGreaterThan(0);
    const numbers = prompts.flatMap((_, i) => (known.has(i) ? [] : [i]));
    const { rows: all } = await generate(sampled, context);
    const rest = await generate({ ...sampled, prompts: numbers.map((i) => prompts[i]!), numbers }, context);
    expect(rest.rows).toEqual(numbers.map((i) => all[i]!));
  });
});

describe('rows come and go', () => {
  const random = createRandom(9);
  const prompts = Array.from({ length: 9 }, (_, i) =>
    Array.from({ length: 1 + random.integer(i % 3 === 0 ? 70 : 12) }, () => 3 + random.integer(90)),
  );
  it.each(['tiny-llama', 'tiny-mistral', 'tiny-gemma2', 'tiny-phi3-long', 'tiny-llama-dynamic'])(
    '%s: and each answers as it does alone',
    async (name) => {
      const folder = join(fixtures, name);
      const { contextLength } = readDecoderConfig(folder);
      const model = { folder, precision: 'f32', adapterFolder: null } as const;
      const asked = prompts.map((prompt) => prompt.slice(0, contextLength - 1));
      // Answers end anywhere: a seventh of all tokens end one.
      const endIds = Array.from({ length: 14 }, (_, i) => 7 * i);
      const all = request({ model, prompts: asked, maxTokens: 40, endIds });
      const { rows } = await generate({ ...all, batch: 3 }, context);
      const lengths = new Set(rows.map(({ ids }) => ids.length));
      expect(lengths.size).toBeGreaterThan(2);
      const alone = await generate({ ...all, batch: 1 }, context);
      expect(rows).toEqual(alone.rows);
    },
  );
});

it.each(['lora', 'dora', 'hydralora', 'moelora', 'idlora', 'idlora-pivot'])(
  'with %s: weights that are kept for decoding say what those for scoring say',
  async (adapter) => {
    const adapterFolder = join(recorded, `tiny-qwen2-${adapter}`, 'adapter');
    const model = { folder: join(fixtures, 'tiny-qwen2'), precision: 'f32', adapterFolder } as const;
    const prompts = [[1, 5, 9], [1, 70, 71, 72], [8, 40, 22, 61, 7, 7, 30], [90]];
    const { rows } = await generate(request({ model, prompts, maxTokens: 6, endIds: [1_000_000] }), context);
    const items = prompts.map((prompt, i) => ({ prompt, choices: [rows[i]!.ids] }));
    const scored = await choices({ kind: 'choices', model, items, batch: 4 }, context);
    expect(scored.rows.map(({ greedy }) => greedy)).toEqual(prompts.map(() => [true]));
  },
);
