import { expect, it } from 'vitest';
import { choiceCalls, planChoices } from '../../src-main/options/choiceRows.ts';
import { createRandom } from '../../src-main/statistics/random.ts';

const random = createRandom(4);
const tokens = (length: number) => Array.from({ length }, () => random.integer(50));
const examples = tokens(120);
/** Questions behind the same examples, as with shots, and others that begin in their own way. */
const items = Array.from({ length: 70 }, (_, i) => ({
  prompt: [...(i < 40 ? examples : []), ...tokens(10 + (i % 30))],
  choices: [[1], [2], [3], [4, 5]],
}));
const limits = { batch: 16, context: 512, isUniform: false };

it('foresees every token of every choice once, whatever shares a row', () => {
  for (const isUniform of [false, true]) {
    const parts = planChoices(items, { ...limits, isUniform });
    const seen = new Map<string, number>();
    for (const { calls, tokens: longest, batch, picks } of parts)
      for (const call of calls) {
        expect(call.length).toBeLessThanOrEqual(batch);
        const rows = call.map((row) => row.build());
        for (const { ids } of rows) expect(ids.length).toBeLessThanOrEqual(longest);
        const all = rows.flatMap((row) => row.picks);
        expect(all.length).toBeLessThanOrEqual(picks);
        for (const { item, choice } of all) {
          const key = `${item} ${choice}`;
          seen.set(key, (seen.get(key) ?? 0) + 1);
        }
      }
    const expected = items.flatMap(({ choices }, i) =>
      choices.map(({ length }, choice) => [`${i} ${choice}`, length] as const),
    );
    expect(seen).toEqual(new Map(expected.sort()));
  }
});

it('tells a forecast the calls as they are made, with less to compute where prompts begin alike', () => {
  const size = (isUniform: boolean) =>
    choiceCalls(items, { ...limits, isUniform }).reduce(
      (sum, { tokens: long, calls, rows }) => sum + long * calls * rows!,
      0,
    );
  const calls = choiceCalls(items, limits);
  expect(calls).toEqual(
    planChoices(items, limits).map((part) => ({
      tokens: part.tokens,
      calls: part.calls.length,
      rows: part.batch,
      outputs: part.picks,
    })),
  );
  // Logits are made where choices are foreseen, and nowhere else.
  for (const { tokens: long, rows, outputs } of calls) expect(outputs).toBeLessThan((long * rows!) / 3);
  expect(size(true)).toBeGreaterThan(1.4 * size(false));
});
