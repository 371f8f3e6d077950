import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { generate } from '../../src-main/engine/inference/generate.ts';
import { loadTensorflow } from '../../src-main/engine/runtime/loadTensorflow.ts';
import { fixtures, recorded } from '../support/paths.ts';

/** Greedy continuations by transformers' generate, each prompt alone (generator/decoding.py). */
const greedy = JSON.parse(readFileSync(join(recorded, 'greedy.json'), 'utf8')) as Record<
  string,
  { prompt: number[]; ids: number[] }[]
>;

it.each(Object.entries(greedy))(
  '%s: decoding through the KV cache, prompts of several lengths in one batch, equals generate',
  async (model, rows) => {
    const result = await generate(
      {
        kind: 'generate',
        model: { folder: join(fixtures, model), precision: 'f32', adapterFolder: null },
        prompts: rows.map(({ prompt }) => prompt),
        maxTokens: rows[0]!.ids.length,
        temperature: 0,
        topP: 1,
        seed: 1,
        stop: [],
        // No such token: the reference was not stopped either.
        endIds: [1_000_000],
        batch: rows.length,
      },
      {
        tf: loadTensorflow().tf,
        fusion: false,
        products: 'native',
        emit: () => undefined,
        stopRequested: async () => null,
      },
    );
    expect(result.rows.map(({ ids }) => ids)).toEqual(rows.map(({ ids }) => ids));
  },
);
