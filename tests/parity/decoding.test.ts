import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { generate } from '../../src-main/engine/inference/generate.ts';
import type { GenerateRequest, ModelReference } from '../../src-main/engine/protocol.ts';
import { loadTensorflow } from '../../src-main/engine/runtime/loadTensorflow.ts';
import { fixtures, recorded } from '../support/paths.ts';

/** Greedy continuations by transformers' generate, each prompt alone (generator/decoding.py). */
const greedy = JSON.parse(readFileSync(join(recorded, 'greedy.json'), 'utf8')) as Record<
  string,
  { prompt: number[]; ids: number[] }[]
>;

const context = {
  tf: loadTensorflow().tf,
  fusion: false,
  products: 'native',
  emit: () => undefined,
  stopRequested: async () => null,
} as const;

const request = (
  prompts: number[][],
  maxTokens: number,
  model: Partial<ModelReference>,
): GenerateRequest => ({
  kind: 'generate',
  model: { folder: join(fixtures, 'tiny-llama'), precision: 'f32', adapterFolder: null, ...model },
  prompts,
  maxTokens,
  temperature: 0,
  topP: 1,
  seed: 1,
  stop: [],
  // No such token: the reference was not stopped either.
  endIds: [1_000_000],
  batch: prompts.length,
});

it.each(Object.entries(greedy))(
  '%s: decoding through the KV cache, prompts of several lengths in one batch, equals generate',
  async (model, rows) => {
    const prompts = rows.map(({ prompt }) => prompt);
    const asked = request(prompts, rows[0]!.ids.length, { folder: join(fixtures, model) });
    const result = await generate(asked, context);
    expect(result.rows.map(({ ids }) => ids)).toEqual(rows.map(({ ids }) => ids));
  },
);

it.each(['tiny-llama', 'tiny-gemma2', 'tiny-qwen2'])(
  '%s: rows together, with functions that XLA compiles, equal generate',
  async (model) => {
    const rows = greedy[model]!;
    const prompts = rows.map(({ prompt }) => prompt);
    const asked = request(prompts, rows[0]!.ids.length, { folder: join(fixtures, model) });
    const result = await generate(asked, { ...context, fusion: true });
    expect(result.rows.map(({ ids }) => ids)).toEqual(rows.map(({ ids }) => ids));
  },
);

describe('a single row, whose layers XLA compiles', () => {
  /** Bias, norms in all places, windows, projections in one, several ropes. */
  it.each(['tiny-qwen2', 'tiny-gemma3', 'tiny-phi3-long', 'tiny-olmo2'])(
    '%s: equals generate',
    async (model) => {
      const { prompt, ids } = greedy[model]![0]!;
      const asked = request([prompt], ids.length, { folder: join(fixtures, model) });
      expect((await generate(asked, { ...context, fusion: true })).rows[0]!.ids).toEqual(ids);
    },
  );

  const prompt = greedy['tiny-llama']![0]!.prompt;
  const ways: [string, Partial<ModelReference>][] = [
    ...['dora', 'hydralora', 'idlora', 'moelora'].map((method): [string, Partial<ModelReference>] => [
      method,
      { adapterFolder: join(recorded, `tiny-llama-${method}`, 'adapter') },
    ]),
    ['in 8 bits', { quantization: 'int8' }],
    ['in 4 bits', { quantization: 'nf4' }],
    ['bf16', { precision: 'bf16' }],
  ];
  it.each(ways)('%s: equals what each operation by itself computes', async (_, model) => {
    const asked = request([prompt], 12, model);
    const [compiled, plain] = [
      await generate(asked, { ...context, fusion: true }),
      await generate(asked, context),
    ];
    // The likeliest tokens of a random model are so close that one rounding of bf16 decides, on some processors soon.
    const sure = model.precision === 'bf16' ? 3 : asked.maxTokens;
    const [first, second] = [compiled, plain].map(({ rows }) => rows[0]!.ids.slice(0, sure));
    expect(first).toEqual(second);
  });
});
