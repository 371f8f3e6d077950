import { join } from 'node:path';
import { expect, it } from 'vitest';
import { choices } from '../../../src-main/engine/inference/choices.ts';
import { score } from '../../../src-main/engine/inference/score.ts';
import type { ChoiceItem, EngineEvent, ModelReference } from '../../../src-main/engine/protocol.ts';
import { loadTensorflow } from '../../../src-main/engine/runtime/loadTensorflow.ts';
import { writeTokenFile } from '../../../src-main/formats/files/tokenFile.ts';
import { createRandom } from '../../../src-main/statistics/random.ts';
import { fixtures } from '../../support/paths.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';

const events: EngineEvent[] = [];
const context = {
  tf: loadTensorflow().tf,
  fusion: false,
  emit: (event: EngineEvent) => void events.push(event),
  stopRequested: async () => null,
};
const modelAt = (name: string): ModelReference => ({
  folder: join(fixtures, name),
  precision: 'f32',
  adapterFolder: null,
});

const random = createRandom(4);
const tokens = (length: number) => Array.from({ length }, () => 3 + random.integer(90));
/** Prompts of very different lengths; choices of one token and of several, and some of each. */
const items: ChoiceItem[] = [
  ...Array.from({ length: 5 }, (_, i) => ({
    prompt: tokens(4 + 9 * i),
    choices: [0, 1, 2, 3].map(() => tokens(1)),
  })),
  ...Array.from({ length: 4 }, (_, i) => ({ prompt: tokens(30 - 7 * i), choices: [6, 11, 2].map(tokens) })),
  { prompt: tokens(12), choices: [tokens(9)] },
  { prompt: tokens(1), choices: [tokens(3), tokens(1)] },
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

it.each(['tiny-llama', 'tiny-llama-dynamic', 'tiny-phi3-long'])(
  '%s: as every choice scored alone',
  async (name) => {
    const model = modelAt(name);
    const expected = await scoredAlone(model, items);
    events.length = 0;
    const { rows } = await choices({ kind: 'choices', model, items, batch: 4 }, context);
    rows.forEach((row, i) => {
      expect(row.greedy).toEqual(expected[i]!.greedy);
      row.logLikelihoods.forEach((value, c) =>
        expect(Math.abs(value - expected[i]!.logLikelihoods[c]!), `item ${i}, choice ${c}`).toBeLessThan(
          1e-4,
        ),
      );
    });
    const told = events.flatMap((event) => (event.type === 'chosen' ? event.rows : []));
    expect(told.toSorted((a, b) => a.index - b.index)).toEqual(rows.map((row, index) => ({ index, row })));
  },
);

it('knows where every token of a choice is the most likely one', async () => {
  const model = modelAt('tiny-llama');
  const prompt = tokens(9);
  const all = Array.from({ length: 101 }, (_, id) => [id]);
  const { rows } = await choices(
    { kind: 'choices', model, items: [{ prompt, choices: all }], batch: 4 },
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
  [{ prompt: tokens(90), choices: [[7], tokens(7)] }, 'Item 1 has 97 tokens with choice 1'],
])('refuses %j', async (item, message) => {
  const asked = [{ prompt: [5], choices: [[6]] }, item];
  await expect(
    choices({ kind: 'choices', model: modelAt('tiny-llama'), items: asked, batch: 4 }, context),
  ).rejects.toMatchObject({ code: 'usage', message: expect.stringContaining(message) as string });
});
