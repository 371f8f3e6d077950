import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { sharedRows } from '../../../src-main/options/choiceRows.ts';
import { choices } from '../../../src-main/engine/inference/choices.ts';
import { score } from '../../../src-main/engine/inference/score.ts';
import type { EngineEvent } from '../../../src-main/engine/messages.ts';
import type { ChoiceItem, ModelReference } from '../../../src-main/engine/protocol.ts';
import { loadTensorflow } from '../../../src-main/engine/runtime/loadTensorflow.ts';
import { writeTokenFile } from '../../../src-main/formats/files/tokenFile.ts';
import { createRandom } from '../../../src-main/statistics/random.ts';
import { fixtures, recorded } from '../../support/paths.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';

const events: EngineEvent[] = [];
const context = {
  tf: loadTensorflow().tf,
  fusion: false,
  emit: (event: EngineEvent) => void events.push(event),
  stopRequested: async () => null,
};
const modelAt = (name: string, adapter: string | null = null): ModelReference => ({
  folder: join(fixtures, name),
  precision: 'f32',
  adapterFolder: adapter && join(recorded, `${name}-${adapter}`, 'adapter'),
});

const random = createRandom(4);
const tokens = (length: number) => Array.from({ length }, () => 3 + random.integer(90));
const shots = tokens(40);
/** Prompts of very different lengths; choices of one token and of several, and some of each. */
const all: ChoiceItem[] = [
  ...Array.from({ length: 5 }, (_, i) => ({
    prompt: tokens(4 + 9 * i),
    choices: [0, 1, 2, 3].map(() => tokens(1)),
  })),
  ...Array.from({ length: 4 }, (_, i) => ({ prompt: tokens(30 - 7 * i), choices: [6, 11, 2].map(tokens) })),
  { prompt: tokens(12), choices: [tokens(9)] },
  { prompt: tokens(1), choices: [tokens(3), tokens(1)] },
  // They begin alike; two are equal.
  ...Array.from({ length: 9 }, (_, i) => ({
    prompt: [...shots, ...(i === 4 ? [] : tokens(2 + i))],
    choices: i % 2 === 0 ? [[7], [8], [7]] : [[7, 8, 9, 10], [7, 8], tokens(5)],
  })),
];

/** The same by a row for each choice. */
async function scoredAlone(model: ModelReference, asked: readonly ChoiceItem[], task = 0) {
  const tokenFile = join(temporaryFolder(), 'rows.tokens');
  const rows = asked.flatMap(({ prompt, choices: answers }) =>
    answers.map((answer) => ({
      ids: Int32Array.from([...prompt, ...answer]),
      trained: Uint8Array.from([...prompt.map(() => 0), ...answer.map(() => 1)]),
      task,
    })),
  );
  writeTokenFile(tokenFile, rows);
  const found = (await score({ kind: 'score', model, tokenFile, batch: 4 }, context)).rows;
  return asked.map(({ choices: answers }) => {
    const own = found.splice(0, answers.length);
    return { logLikelihoods: own.map(({ lossSum }) => -lossSum), greedy: own.map(({ greedy }) => greedy) };
  });
}

async function expectAsAlone(
  model: ModelReference,
  { items = all, task = 0, fusion = false }: { items?: ChoiceItem[]; task?: number; fusion?: boolean } = {},
) {
  const expected = await scoredAlone(model, items, task);
  events.length = 0;
  const asked = { kind: 'choices', model, items, batch: 4, task } as const;
  const { rows } = await choices(asked, { ...context, fusion });
  expect(rows).toHaveLength(items.length);
  rows.forEach((row, i) => {
    expect(row.greedy).toEqual(expected[i]!.greedy);
    expect(row.logLikelihoods).toHaveLength(items[i]!.choices.length);
    row.logLikelihoods.forEach((value, c) =>
      expect(Math.abs(value - expected[i]!.logLikelihoods[c]!), `item ${i}, choice ${c}`).toBeLessThan(1e-4),
    );
  });
  const told = events.flatMap((event) => (event.type === 'chosen' ? event.rows : []));
  expect(told.toSorted((a, b) => a.index - b.index)).toEqual(rows.map((row, index) => ({ index, row })));
}

describe('as every choice scored alone', () => {
  it.each([
    'tiny-llama',
    'tiny-qwen3',
    'tiny-gemma2',
    'tiny-gemma3',
    'tiny-mistral',
    'tiny-phi3',
    // The angles of all depend on how long a text is: choices share nothing.
    'tiny-phi3-long',
    'tiny-llama-dynamic',
  ])('%s', (name) => expectAsAlone(modelAt(name)));

  it.each(['lora', 'dora', 'hydralora', 'moelora', 'idlora', 'idlora-pivot'])('with %s', (adapter) =>
    expectAsAlone(modelAt('tiny-qwen2', adapter)),
  );

  it.each([0, 1])('with MoELoRA gated by task %i', (task) =>
    expectAsAlone(modelAt('tiny-llama', 'moelora-task'), { task }),
  );

  it.each(['tiny-phi3-long', 'tiny-llama-dynamic'])('%s, where no text is long', async (name) => {
    const items = [4, 6, 9].map((length) => ({ prompt: tokens(length), choices: [7, 5, 6, 7].map(tokens) }));
    await expectAsAlone(modelAt(name), { items });
  });

  it('compiled by XLA', () => expectAsAlone(modelAt('tiny-mistral'), { fusion: true }));
});

describe('rows', () => {
  it('hold every text once, and each place sees its own alone', () => {
    const rows = sharedRows(all, 200);
    const found = new Map<string, number[]>();
    for (const { tokens: most, picks: count, build } of rows) {
      const { ids, depths, last, picks } = build();
      expect(ids.length).toBeLessThanOrEqual(most);
      expect(new Set([depths.length, last.length])).toEqual(new Set([ids.length]));
      expect(picks).toHaveLength(count);
      for (const { at, label, item, choice } of picks) {
        const seen = Array.from({ length: at + 1 }, (_, key) => key).filter((key) => at <= last[key]!);
        expect(seen.map((key) => depths[key])).toEqual(seen.map((_, depth) => depth));
        const { prompt, choices: answers } = all[item]!;
        const place = seen.length - prompt.length;
        const text = [...prompt, ...answers[choice]!];
        expect([...seen.map((key) => ids[key]!), label]).toEqual(text.slice(0, seen.length + 1));
        const name = `${item} ${choice}`;
        found.set(name, [...(found.get(name) ?? []), place]);
      }
    }
    for (const [item, { choices: answers }] of all.entries())
      for (const [choice, answer] of answers.entries())
        expect(found.get(`${item} ${choice}`)!.toSorted((a, b) => a - b)).toEqual([...answer.keys()]);
  });

  it('compute shots once for many items, and a prompt once for its choices', () => {
    const asked = Array.from({ length: 20 }, (_, i) => ({
      prompt: [...shots, 3 + i, ...tokens(9)],
      choices: [tokens(1), tokens(1), tokens(1), tokens(1)],
    }));
    const counts = sharedRows(asked, 150).map((row) => row.build().ids.length);
    // 11 items of 10 tokens beside the shots.
    expect(counts).toEqual([150, 130]);
    expect(sharedRows(asked.slice(0, 1), 150).map(({ tokens: most }) => most)).toEqual([50]);
  });

  it('are not shared where a few tokens are all that is spared', () => {
    const asked = Array.from({ length: 5 }, () => ({
      prompt: [1, 2, 3, ...tokens(40)],
      choices: [tokens(1)],
    }));
    expect(sharedRows(asked, 1000)).toHaveLength(5);
  });
});

it('knows where every token of a choice is the most likely one', async () => {
  const model = modelAt('tiny-llama');
  const prompt = tokens(9);
  const ids = Array.from({ length: 101 }, (_, id) => [id]);
  const { rows } = await choices(
    { kind: 'choices', model, items: [{ prompt, choices: ids }], batch: 4 },
    context,
  );
  const { greedy, logLikelihoods } = rows[0]!;
  const best = logLikelihoods.indexOf(Math.max(...logLikelihoods));
  expect(greedy.flatMap((isBest, i) => (isBest ? [i] : []))).toEqual([best]);
});

it.each([
  [{ prompt: [], choices: [[5]] }, 'The prompt of item 1 has no tokens.'],
  [{ prompt: [5], choices: [] }, 'Item 1 has no choices.'],
  [{ prompt: [5], choices: [[7], []] }, 'Choice 1 of item 1 has no tokens.'],
  // One token more than the context is foreseen and not read.
  [{ prompt: tokens(90), choices: [[7], tokens(8)] }, 'Item 1 has 98 tokens with choice 1'],
])('refuses %j', async (item, message) => {
  const asked = [{ prompt: [5], choices: [[6]] }, item];
  await expect(
    choices({ kind: 'choices', model: modelAt('tiny-llama'), items: asked, batch: 4 }, context),
  ).rejects.toMatchObject({ code: 'usage', message: expect.stringContaining(message) as string });
});
