import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { wayOf, type Way } from '../../../src-main/engine/inference/choosing.ts';
import { ContinuedRow, type EndRules } from '../../../src-main/engine/inference/continuedRow.ts';
import { decodeRows, decoderSize } from '../../../src-main/engine/inference/decodeRows.ts';
import { openDecoder } from '../../../src-main/engine/inference/decodingGraph.ts';
import { openColumns } from '../../../src-main/engine/inference/adapterColumns.ts';
import { openModel } from '../../../src-main/engine/inference/openModel.ts';
import type { ModelReference } from '../../../src-main/engine/protocol.ts';
import { loadTensorflow } from '../../../src-main/engine/runtime/loadTensorflow.ts';
import { readDecoderConfig } from '../../../src-main/formats/families/huggingFaceConfig.ts';
import { loadTokenizer } from '../../../src-main/formats/model/tokenizer.ts';
import { deviceSizes } from '../../../src-main/options/deviceSizes.ts';
import { createRandom } from '../../../src-main/statistics/random.ts';
import { fixtures, recorded, tinyLlama } from '../../support/paths.ts';

/*
 * A card computes several tokens a call, by parts that XLA compiles; here its graphs run on this processor. They must
 * say what a processor's say one by one.
 */
const { tf } = loadTensorflow();
const several = deviceSizes.gpu.decodedTokens;
const random = createRandom(4);
const promptsOf = (lengths: readonly number[]) =>
  lengths.map((length) => Array.from({ length }, () => 3 + random.integer(90)));

interface Asked {
  prompts: readonly number[][];
  batch: number;
  maxTokens: number;
  temperature?: number;
  topP?: number;
  ways?: readonly Way[];
  rules?: Partial<EndRules>;
  model?: Partial<ModelReference>;
  /** Adapters of the rows in turn, instead of one model. */
  columns?: readonly (string | null)[];
}

/** Answers by the graphs of a device, with the calls that were made and how many tokens there were at each pause. */
async function answers(asked: Asked, device: 'cpu' | 'gpu') {
  const { prompts, batch, maxTokens, temperature = 0, topP = 1, rules, columns } = asked;
  const { ways = [wayOf({ temperature, topP })] } = asked;
  const reference = { folder: tinyLlama, precision: 'f32', adapterFolder: null, ...asked.model } as const;
  const context = { fusion: device === 'gpu', products: 'native', device, emit: () => undefined } as const;
  const opened = columns ? openColumns(reference, columns, context) : openModel(reference, context);
  const config = readDecoderConfig(reference.folder);
  const size = decoderSize(prompts, { batch, maxTokens }, config);
  const decoder = await openDecoder(tf, opened.model, size, ways);
  opened.load(decoder.session);
  const calls: string[] = [];
  const { run } = decoder.session;
  decoder.session.run = (name, feeds) => {
    calls.push(String(name));
    return run(name, feeds);
  };
  const all: EndRules = {
    tokenizer: loadTokenizer(reference.folder),
    endIds: new Set<number>(),
    stop: [],
    maxTokens,
    contextLength: config.contextLength,
    ...rules,
  };
  const rows = prompts.map(
    (prompt, i) => new ContinuedRow(prompt, all, createRandom(i), columns ? i % columns.length : 0),
  );
  const said: number[] = [];
  await decodeRows(decoder, rows, {
    temperature,
    topP,
    task: 0,
    ropes: config.ropes,
    pauseEvery: 1,
    pause: async () => void said.push(rows.reduce((sum, row) => sum + row.ids.length, 0)),
  });
  decoder.session.close();
  opened.close();
  return { rows: rows.map((row) => row.result()), calls, said };
}

/** The same by both. @returns how many calls of several tokens a card made */
async function agree(asked: Asked) {
  const [one, more] = [await answers(asked, 'cpu'), await answers(asked, 'gpu')];
  expect(more.rows).toEqual(one.rows);
  expect(one.calls.some((name) => name.includes('Several'))).toBe(false);
  return {
    rows: one.rows,
    said: more.said,
    calls: more.calls.filter((name) => name.includes('Several')).length,
  };
}

it('equals transformers, with few calls, and tells what was said after each', async () => {
  const greedy = JSON.parse(readFileSync(join(recorded, 'greedy.json'), 'utf8')) as Record<
    string,
    { prompt: number[]; ids: number[] }[]
  >;
  const { prompt, ids } = greedy['tiny-llama']![0]!;
  const { rows, calls, said } = await agree({ prompts: [prompt], batch: 1, maxTokens: ids.length });
  expect(rows[0]!.ids).toEqual(ids);
  // The first token comes with the prompt.
  expect(calls).toBe(Math.floor((ids.length - 1) / several));
  expect(said.slice(1, 3)).toEqual([1, 1 + several]);
});

it('rows that end anywhere make room for others, which answer as ever', async () => {
  const endIds = new Set(Array.from({ length: 14 }, (_, i) => 7 * i));
  const prompts = promptsOf([3, 30, 8, 1, 12, 5, 22, 9, 4]);
  const { rows, calls } = await agree({ prompts, batch: 3, maxTokens: 45, rules: { endIds } });
  const lengths = new Set(rows.map(({ ids }) => ids.length % several));
  expect(lengths.size).toBeGreaterThan(2);
  expect(calls).toBeGreaterThan(0);
});

it('a stop string amid a call ends a row there', async () => {
  const prompts = promptsOf([5, 9]);
  const { rows } = await agree({ prompts, batch: 2, maxTokens: 40 });
  const text = rows[0]!.text;
  const stop = [text.slice(12, 15)];
  const stopped = await agree({ prompts, batch: 2, maxTokens: 40, rules: { stop } });
  expect(stopped.rows[0]).toMatchObject({ end: 'stop', text: text.slice(0, text.indexOf(stop[0]!)) });
  expect(stopped.calls).toBeGreaterThan(0);
});

it('a context that ends is not overrun', async () => {
  const { contextLength } = readDecoderConfig(tinyLlama);
  const prompts = promptsOf([contextLength - 21, contextLength - 3]);
  const { rows, calls } = await agree({ prompts, batch: 2, maxTokens: 60 });
  expect(rows.map(({ ids, end }) => [ids.length, end])).toEqual([
    [21, 'context'],
    [3, 'context'],
  ]);
  expect(calls).toBeGreaterThan(0);
});

it.each<{ topP: number; ways?: readonly Way[] }>([
  { topP: 1 },
  { topP: 0.9 },
  { topP: 1, ways: ['greedy', 'drawn', 'nucleus'] },
])('draws tokens by the same seeds, rows coming and going: %o', async (how) => {
  const endIds = new Set([7, 14, 21, 28, 35]);
  const prompts = promptsOf([4, 7, 19]);
  const { rows, calls } = await agree({
    prompts,
    batch: 2,
    maxTokens: 30,
    temperature: 1.1,
    ...how,
    rules: { endIds },
  });
  expect(new Set(rows.map(({ ids }) => ids.join())).size).toBe(3);
  expect(calls).toBeGreaterThan(0);
});

const adapter = (name: string) => join(recorded, name, 'adapter');
it.each<[string, Partial<Asked>]>([
  ['windows and caps', { model: { folder: join(fixtures, 'tiny-gemma2') } }],
  ['several ropes', { model: { folder: join(fixtures, 'tiny-gemma3') } }],
  ['frequencies that follow the length', { model: { folder: join(fixtures, 'tiny-llama-dynamic') } }],
  ['ID-LoRA', { model: { adapterFolder: adapter('tiny-llama-idlora') } }],
  ['MoELoRA', { model: { adapterFolder: adapter('tiny-llama-moelora') } }],
  ['adapters by column', { columns: [null, adapter('tiny-llama-dora'), adapter('tiny-llama-hydralora')] }],
  ['a base in 8 bits', { model: { quantization: 'int8' } }],
  ['a base in 4 bits', { model: { quantization: 'nf4' } }],
])('%s', async (name, more) => {
  const { calls } = await agree({ prompts: promptsOf([5, 17, 3]), batch: 3, maxTokens: 30, ...more });
  expect(calls > 0).toBe(!name.startsWith('frequencies'));
});
