import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { alpacaPrompt } from '../../src-main/data/rowExample.ts';
import type { Row } from '../../src-main/contract/rows.ts';
import { countShared, rowKey } from '../../src-main/data/rowKeys.ts';
import { hasSharedData, sharedData, sharedNote } from '../support/paths.ts';
import { openFileRecords } from '../../src-main/data/fileRecords.ts';
import { keysOf, knownKeys, splitNames } from './writeKnownSplits.ts';

async function* rowsOf(path: string) {
  yield* (await openFileRecords(path)).rows();
}

const question = 'Natalia sold clips to 48 of her friends in April. How many clips did she sell?';

const verbatim = (prompt: string, answer: string): Row => ({ kind: 'verbatim', prompt, answer });
const chat = (content: string, answer: string, more: { input?: string } = {}): Row => ({
  kind: 'chat',
  turns: [
    { role: 'user', content, ...more },
    { role: 'assistant', content: answer },
  ],
});

describe('a row is recognized', () => {
  const key = rowKey(chat(question, '48\n#### 48'));

  it.each([
    ['the frame of before', verbatim(`Question: ${question}\nAnswer:`, ' 48\n#### 48')],
    ['another template', verbatim(alpacaPrompt(question, ''), '48')],
    ['a question and its input', verbatim(alpacaPrompt(...halves(question)), '48')],
    ['an instruction and its input', chat(halves(question)[0], '48', { input: halves(question)[1] })],
    ['a chat', verbatim(`user: ${question}\nassistant:`, ' 48')],
    ['other spelling', chat(question.toUpperCase().replaceAll(' ', ' \n '), 'forty-eight')],
  ])('in %s', (_, row) => expect(rowKey(row)).toBe(key));

  it('by its answer, too, where it asks little', () => {
    expect(rowKey({ kind: 'text', text: 'a text' })).toBe(rowKey(verbatim('', 'A  text')));
    expect(rowKey(verbatim('1 + 1 =', '2'))).not.toBe(rowKey(verbatim('1 + 1 =', '3')));
    expect(rowKey(verbatim('1 + 1 =', '2'))).not.toBe(rowKey(verbatim('1 - 1 =', '2')));
  });
});

function halves(text: string): [string, string] {
  const at = text.indexOf('. ') + 1;
  return [text.slice(0, at), text.slice(at + 1)];
}

describe('a question with choices', () => {
  const asked = 'Which planet of the solar system has the shortest year, and no moon that is known to us?';
  const choices = ['Venus', 'Mercury', 'Mars', 'the Moon'];
  const lined = (mark: (letter: string) => string, order = choices) =>
    order.map((choice, i) => `${mark('ABCD'[i]!)} ${choice}`).join('\n');
  const key = rowKey(chat(`${asked}\n${lined((letter) => `${letter}.`)}`, 'B'));

  it.each<[string, Row]>([
    ['alone', chat(asked, 'Mercury.')],
    ['with brackets', chat(`${asked}\n${lined((letter) => `(${letter})`)}`, '(B) Mercury')],
    ['in another order', chat(`${asked}\n${lined((letter) => `${letter})`, choices.toReversed())}`, 'C')],
    [
      'under a heading',
      verbatim(`Question: ${asked}\nChoices:\n${lined((letter) => `${letter}:`)}\nAnswer:`, ' B'),
    ],
    ['in one line', chat(`${asked} (A) Venus (B) Mercury (C) Mars (D) the Moon`, 'B')],
    [
      'as an instruction and its input',
      chat(asked, 'B', { input: `Options:\n${lined((letter) => `${letter}.`)}` }),
    ],
    [
      'below a description',
      verbatim(
        `The following are multiple choice questions (with answers) about astronomy.\n\n${asked}\n${lined((letter) => `${letter}.`)}\nAnswer:`,
        ' B',
      ),
    ],
    [
      'with a system prompt',
      {
        kind: 'chat',
        turns: [
          { role: 'system', content: 'Answer with one letter.' },
          { role: 'user', content: `Q: ${asked}\n${lined((letter) => `${letter}.`)}` },
          { role: 'assistant', content: 'B' },
        ],
      },
    ],
  ])('is known %s', (_, row) => expect(rowKey(row)).toBe(key));

  it('that many ask is known by its choices, in any order', () => {
    const of = (...some: string[]) =>
      rowKey(
        chat(
          ['Which of the following is true?', ...some.map((text, i) => `${'ABC'[i]}. ${text}`)].join('\n'),
          'A',
        ),
      );
    expect(of('Snow is white.', 'Coal is white.')).toBe(of('Coal is white.', 'Snow is white.'));
    expect(of('Snow is white.', 'Coal is white.')).not.toBe(of('Snow is white.', 'Grass is white.'));
  });

  it('takes no time for a megabyte of what looks like one', () => {
    const begin = performance.now();
    for (const text of ['\n', ' ', '\nA ', 'options ', '```\n', '\nAnswer: ', '\n(A) x (B) y'])
      rowKey(chat(`q ${text.repeat(1_000_000 / text.length)} z`, ''));
    expect(performance.now() - begin).toBeLessThan(10_000);
  });
});

describe.skipIf(!hasSharedData)(`benchmarks${sharedNote}`, () => {
  const known = (name: string) => {
    const bytes = readFileSync(new URL(`../../resources/splits/${name}.keys`, import.meta.url));
    return new Float64Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
  };

  it.each(splitNames)('%s has the keys that the studio knows it by', async (name) => {
    expect(await knownKeys(sharedData(), name)).toEqual(known(name));
  });

  it('have no row among data for training', async () => {
    const all = new Set(splitNames.flatMap((name) => [...known(name)]));
    for (const [folder, file] of [
      ['gsm8k', 'train.jsonl'],
      ['alpaca', 'alpaca_data_subset_2000.json'],
      ['codealpaca', 'new_codealpaca.json'],
      ['safety-tuned', 'safety_only_data_Instructions.json'],
    ] as const)
      expect(countShared(await keysOf([sharedData(folder, file)]), all), file).toBe(0);
  });

  it('are known in layouts of training data', async () => {
    const mmlu = new Set(known('mmlu-test'));
    const keys: number[] = [];
    for await (const row of rowsOf(sharedData('mmlu', 'test', 'anatomy_test.csv'))) {
      if (row.kind !== 'chat') continue;
      const [question = '', ...lines] = row.turns[0]!.content.split(/\n(?=[A-D]\. )/);
      const options = lines.map((line) => line.replace(/^([A-D])\. /, '($1) '));
      keys.push(rowKey(verbatim(alpacaPrompt(question, ['Options:', ...options].join('\n')), 'It is so.')));
    }
    expect(countShared(keys, mmlu)).toBe(135);
    const coded = new Set(known('humaneval'));
    const prompts: number[] = [];
    for await (const row of rowsOf(sharedData('humaneval', 'HumanEval.jsonl.gz')))
      if (row.kind === 'verbatim') prompts.push(rowKey(chat(`\`\`\`python\n${row.prompt}\n\`\`\``, 'pass')));
    expect(countShared(prompts, coded)).toBe(164);
  });
});
