import { describe, expect, it } from 'vitest';
import type { Row } from '../../src-main/contract/rows.ts';
import { createNearDuplicates } from '../../src-main/data/statistics/minHash.ts';
import { createRowFindings, wordStretches } from '../../src-main/data/statistics/rowFindings.ts';
import { createRandom } from '../../src-main/statistics/random.ts';

const words =
  'river stone light table green seven north paper cloud under music field glass horse early'.split(' ');

function sentence(seed: number, length = 60): string[] {
  const random = createRandom(seed);
  return Array.from({ length }, () => `${words[random.integer(words.length)]!}${random.integer(40)}`);
}

describe('near duplicates', () => {
  it('are texts that differ in a few words, and not texts on the same words', () => {
    const near = createNearDuplicates();
    for (let i = 0; i < 300; i++) near.add(i, sentence(i).join(' '));
    const changed = (seed: number, places: readonly number[]) =>
      sentence(seed)
        .map((word, at) => (places.includes(at) ? 'other' : word))
        .join(', ');
    near.add(300, changed(7, []));
    near.add(301, changed(8, [59]));
    near.add(302, changed(9, [30]));
    // One word in six is another: their shingles of five share nearly nothing.
    near.add(303, changed(10, [0, 6, 12, 18, 24, 30, 36, 42, 48, 54]));
    expect(near.found()).toEqual([
      { row: 300, of: 7 },
      { row: 301, of: 8 },
      { row: 302, of: 9 },
    ]);
    // The one that it agrees with most, not the first that it agrees with.
    near.add(400, changed(7, [59]));
    near.add(401, changed(7, [59]));
    expect(near.found().slice(3)).toEqual([
      { row: 400, of: 7 },
      { row: 401, of: 400 },
    ]);
  });

  it('are found however far apart they stand, and nothing else is', () => {
    const near = createNearDuplicates();
    const rows = 20_000;
    for (let i = 0; i < rows; i++) near.add(i, sentence(i, 20).join(' '));
    const places = [0, 1, 4095, 4096, 9999, 16_383, 16_384, rows - 1];
    for (const [n, i] of places.entries()) near.add(rows + n, sentence(i, 20).join(', '));
    expect(near.found()).toEqual(places.map((of, n) => ({ row: rows + n, of })));
  });
});

const chat = (user: string, assistant: string): Row => ({
  kind: 'chat',
  turns: [
    { role: 'user', content: user },
    { role: 'assistant', content: assistant },
  ],
});

describe('findings in rows', () => {
  const item = sentence(99, 30);

  it('names rows by what is wrong with them', () => {
    const findings = createRowFindings([{ name: 'exam', stretches: new Set(wordStretches(item.join(' '))) }]);
    const question = 'How many apples are left in the basket?';
    const rows: Row[] = [
      chat(question, 'There are four apples left in the basket now.'),
      chat(question, 'There are four apples left in the basket now.'),
      chat('What is this?', "I'm sorry, but I can't help with that."),
      chat(question, `${question} There are four.`),
      chat('Say it', 'broken \ufffd letters'),
      chat('Two and two?', '4'),
      // 13 words of the item within other words.
      chat(`first ${item.slice(5, 18).join(' ')} last`, 'no idea at all'),
      chat(`first ${item.slice(5, 17).join(' ')} last`, 'no idea at all'),
      chat('Sorry state of affairs: who wrote it?', 'The one who was sorry.'),
    ];
    rows.forEach((row, i) => findings.add(10 * i, row));
    expect(findings.result().findings.map(({ kind, earlier }) => [kind, earlier])).toContainEqual([
      'exact_duplicates',
      [0],
    ]);
    const found = Object.fromEntries(
      findings.result().findings.map(({ kind, indices, with: other }) => [other ?? kind, indices]),
    );
    expect(found).toEqual({
      exact_duplicates: [10],
      refusal: [20],
      repeats_prompt: [30],
      odd_characters: [40],
      short_answer: [50],
      exam: [60],
    });
  });

  it('tells languages apart where a row is long enough to tell', () => {
    const findings = createRowFindings([]);
    const texts = [
      'The quick brown fox jumps over the lazy dog while the children are watching from the house.',
      'Der schnelle braune Fuchs springt über den faulen Hund, während die Kinder vom Haus aus zusehen.',
      'El rápido zorro marrón salta sobre el perro perezoso mientras los niños miran desde la casa.',
      'ok',
    ];
    texts.forEach((text, i) => findings.add(i, { kind: 'text', text }));
    expect(findings.result().languages.map(({ code }) => code)).toEqual(['deu', 'eng', 'spa', 'und']);
  });
});
