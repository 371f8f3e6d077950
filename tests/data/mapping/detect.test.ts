import { expect, it } from 'vitest';
import type { Mapping } from '../../../src-main/contract/datasets/mapping.ts';
import type { Row } from '../../../src-main/contract/rows.ts';
import { detect, unreadColumns } from '../../../src-main/data/mapping/detect.ts';
import type { SourceValue } from '../../../src-main/data/mapping/fields.ts';
import { mapRow } from '../../../src-main/data/mapping/mapRow.ts';

const user = (content: string, input?: string) => ({
  role: 'user' as const,
  content,
  ...(input !== undefined && { input }),
});
const assistant = (content: string) => ({ role: 'assistant' as const, content });
const system = (content: string) => ({ role: 'system' as const, content });
const chat = (...turns: (Row & { kind: 'chat' })['turns']): Row => ({ kind: 'chat', turns });

it.each<[string, SourceValue, Row]>([
  ['question_answer', { question: 'q', answer: 'a' }, chat(user('q'), assistant('a'))],
  ['gsm8k', { question: 'q', answer: 'so\n#### 7' }, chat(user('q'), assistant('so\n#### 7'))],
  ['alpaca', { instruction: 'Add.', input: '1 2', output: '3' }, chat(user('Add.', '1 2'), assistant('3'))],
  ['alpaca', { instruction: 'Hi.', input: '', output: 'Yes' }, chat(user('Hi.'), assistant('Yes'))],
  [
    'alpaca',
    { instruction: 'c', output: 'd', system: 's', history: [['a', 'b']] },
    chat(system('s'), user('a'), assistant('b'), user('c'), assistant('d')),
  ],
  [
    'alpaca',
    { instruction: 'i', context: 'about', response: 'r', category: 'qa' },
    chat(user('i', 'about'), assistant('r')),
  ],
  ['prompt_completion', { prompt: 'p', completion: 'c' }, chat(user('p'), assistant('c'))],
  ['prompt_completion', { prompt: 'p', answer: 'c' }, chat(user('p'), assistant('c'))],
  ['prompt_completion', { Prompt: 'p', 'Response ': 'c' }, chat(user('p'), assistant('c'))],
  ['prompt_completion', { INPUT: 'p', Target: 'c' }, chat(user('p'), assistant('c'))],
  ['prompt_completion', { query: 'p', response: 4 }, chat(user('p'), assistant('4'))],
  ['prompt_completion', { input: 'p', output: 'c' }, chat(user('p'), assistant('c'))],
  ['prompt_completion', { prompt: '', completion: 'c' }, { kind: 'text', text: 'c' }],
  [
    'chat',
    {
      messages: [
        { role: 'developer', content: 's' },
        {
          role: 'user',
          content: [
            { type: 'text', text: 'u' },
            { type: 'text', text: '!' },
          ],
        },
        { role: 'assistant', content: null, tool_calls: [{ id: '1' }] },
        { role: 'tool', content: '21', name: 'weather' },
        { role: 'assistant', content: 'a', reasoning_content: 'hm' },
      ],
      tools: [{ type: 'function' }],
    },
    {
      kind: 'chat',
      turns: [
        system('s'),
        user('u!'),
        { ...assistant(''), toolCalls: [{ id: '1' }] },
        { role: 'tool', content: '21', name: 'weather' },
        { ...assistant('a'), reasoning: 'hm' },
      ],
      tools: [{ type: 'function' }],
    },
  ],
  [
    'sharegpt',
    {
      id: 1,
      system: 's',
      conversations: [
        { from: 'human', value: 'u' },
        { from: 'gpt', value: 'a' },
        { from: 'observation', value: 'o' },
        { from: 'ChatGPT', value: 'b' },
      ],
    },
    chat(system('s'), user('u'), assistant('a'), { role: 'tool', content: 'o' }, assistant('b')),
  ],
  [
    'chat',
    { messages: '[{"role":"user","content":"u"},{"role":"assistant","content":"a"}]' },
    chat(user('u'), assistant('a')),
  ],
  [
    'multiple_choice',
    { question: 'q', choices: ['x', 'y'], answer: 1, subject: 's' },
    chat(user('q\nA. x\nB. y'), assistant('B')),
  ],
  [
    'multiple_choice',
    {
      id: 'x',
      question: {
        stem: 'q',
        question_concept: 'c',
        choices: [
          { label: 'A', text: 'x' },
          { label: 'B', text: 'y' },
        ],
      },
      answerKey: 'A',
    },
    chat(user('q\nA. x\nB. y'), assistant('A')),
  ],
  [
    'multiple_choice',
    { question: 'q', choices: { label: ['1', '2', '3'], text: ['x', 'y', 'z'] }, answerKey: '3' },
    chat(user('q\nA. x\nB. y\nC. z'), assistant('C')),
  ],
  [
    'multiple_choice',
    { question: 'q', option_a: 'x', option_b: 'y', correct_answer: 'y' },
    chat(user('q\nA. x\nB. y'), assistant('B')),
  ],
  [
    'preference',
    { prompt: 'p', chosen: 'good', rejected: 'bad' },
    { kind: 'chat', turns: [user('p'), assistant('good')], rejected: [assistant('bad')] },
  ],
  [
    'preference',
    {
      chosen: '\n\nHuman: p\n\nAssistant: good',
      rejected: '\n\nHuman: p\n\nAssistant: bad',
    },
    { kind: 'chat', turns: [user('p'), assistant('good')], rejected: [assistant('bad')] },
  ],
  [
    'preference',
    {
      prompt: 'p',
      chosen: [user('p'), assistant('good')],
      rejected: [user('p'), assistant('bad')],
    },
    { kind: 'chat', turns: [user('p'), assistant('good')], rejected: [assistant('bad')] },
  ],
  ['text', { text: 't', url: 'u' }, { kind: 'text', text: 't' }],
  ['text', { Zeile: 't' }, { kind: 'text', text: 't' }],
  ['prompts', { id: 1, prompt: 'p', type: 'x', label: 'safe' }, chat(user('p'))],
])('%s: %j', (format, value, row) => {
  const found = detect([value]);
  expect(found?.format).toBe(format);
  expect(found!.reason).not.toBe('');
  expect(mapRow(value, found!.mappings)).toEqual({ row, unusable: null });
});

it('nothing is found where nothing fits', () => {
  expect(detect([{ a: 1, b: { c: 2 } }])).toBeNull();
  expect(detect([])).toBeNull();
});

it('rows of several shapes are each read by what they have, and a row that lacks the answer is none of prompts', () => {
  const rows = [
    { instruction: 'i', output: 'o' },
    { messages: [user('u'), assistant('a')] },
    { instruction: 'j', output: 'p' },
    { instruction: 'k' },
  ];
  const { mappings, format } = detect(rows)!;
  expect(format).toBe('alpaca');
  expect(rows.map((row) => mapRow(row, mappings).row)).toEqual([
    chat(user('i'), assistant('o')),
    chat(user('u'), assistant('a')),
    chat(user('j'), assistant('p')),
    null,
  ]);
  expect(mapRow(rows[3]!, mappings).unusable).toEqual({ reason: 'missing', column: 'output', detail: null });
});

it('lists what is not read', () => {
  const row = { id: 1, question: { stem: 'q', choices: ['a', 'b'] }, answerKey: 'A', note: 'n' };
  expect(unreadColumns([row], detect([row])!.mappings)).toEqual(['id', 'note']);
});

it.each<[SourceValue, string, string]>([
  [{ instruction: 'i', output: ' ' }, 'empty', 'output'],
  [{ instruction: 'i', output: null }, 'null', 'output'],
  [{ instruction: 'i' }, 'missing', 'output'],
  [{ instruction: ['i'], output: 'o' }, 'not_text', 'instruction'],
  [{ instruction: 'i', output: 'a\ud800b' }, 'half_character', 'output'],
  [{ instruction: 'i', output: 'a\udcf6b' }, 'encoding', 'output'],
])('%j cannot be used: %s in %s', (value, reason, column) => {
  const mapping = { kind: 'prompt', prompt: 'instruction', answer: 'output' } as const;
  expect(mapRow(value, [mapping]).unusable).toMatchObject({ reason, column });
});

it.each<[unknown, string, string]>([
  [[], 'no_turns', 'messages'],
  ['hello', 'no_turns', 'messages'],
  [[user('u')], 'no_answer_turn', 'messages'],
  [[user('u'), { role: 'narrator', content: 'x' }], 'unknown_role', 'messages[1]'],
  [[user('u'), { role: 'assistant', content: null }], 'bad_turn', 'messages[1]'],
  [[null], 'bad_turn', 'messages[0]'],
  [[{ role: 'user', content: [{ type: 'image_url' }] }], 'not_only_text', 'messages[0]'],
  [[user('u'), { role: 'assistant', content: { a: null } }], 'not_text', 'messages[1]'],
])('turns %j cannot be used: %s in %s', (messages, reason, column) => {
  expect(mapRow({ messages }, [{ kind: 'chat', turns: 'messages' }]).unusable).toMatchObject({
    reason,
    column,
  });
});

it.each<[SourceValue, string]>([
  [{ question: 'q', choices: ['x'], answer: 0 }, 'choices'],
  [{ question: 'q', choices: ['x', 'y'], answer: 2 }, 'unknown_choice'],
  [{ question: 'q', choices: { label: ['A'], text: ['x', 'y'] }, answer: 'A' }, 'choices'],
  [{ question: 'q', choices: ['x', null], answer: 'A' }, 'null'],
])('choices %j cannot be used: %s', (value, reason) => {
  const mapping: Mapping = {
    kind: 'choice',
    question: 'question',
    choices: ['choices'],
    answer: 'answer',
  };
  expect(mapRow(value, [mapping]).unusable).toMatchObject({ reason });
});

it('a whole number in the field "task" is the task of the row; anything else there means something else', () => {
  const taskOf = (task: unknown) => {
    const value = { prompt: 'p', completion: 'c', task };
    return mapRow(value, detect([value])!.mappings).row?.task;
  };
  expect(taskOf(4)).toBe(4);
  for (const task of [null, 'summarize', { id: 1 }, -1, 1.5, 1001, '3']) expect(taskOf(task)).toBeUndefined();
});
