import { expect, it } from 'vitest';
import { chatSchema, shownColumns, type Chat } from '../../../src-main/contract/evaluation/chat.ts';
import { afterRewind, hidden, withVote } from '../../../src-main/services/chat/blind.ts';
import { checkRoom } from '../../../src-main/services/chat/columns.ts';
import { bestWords } from '../../../src-main/statistics/preference.ts';

const answer = { text: 'so', tokens: 1, end: 'stop', tokensPerSecond: 1, promptTokens: 1, sent: '' } as const;
function chatOf(names: readonly string[], turns: number): Chat {
  return chatSchema.parse({
    id: 'c',
    model: { id: 'm', name: 'm' },
    precision: 'f32',
    loadIn8bit: false,
    context: 64,
    columns: names.map((name) => ({
      name,
      runId: null,
      method: null,
      template: { name: 'none', system: null },
    })),
    isOpen: false,
    isAnswering: false,
    turns: Array.from({ length: turns }, () => ({ prompt: 'p', answers: names.map(() => answer) })),
  });
}

it('shows letters in an order that each conversation draws, until names are asked for', () => {
  const names = ['base', 'one', 'two', 'three', 'four'];
  const chat = chatOf(names, 1);
  expect(shownColumns(chat).map(({ name }) => name)).toEqual(names);
  let blind = hidden(chat);
  const orders = new Set<string>();
  for (let i = 0; i < 8; i++) {
    const shown = shownColumns({ ...chat, blind });
    expect(shown.map(({ name }) => name)).toEqual(['A', 'B', 'C', 'D', 'E']);
    expect(shown.map(({ column }) => column).sort()).toEqual([0, 1, 2, 3, 4]);
    orders.add(String(blind.order));
    blind = afterRewind(blind, 0);
  }
  expect(orders.size).toBeGreaterThan(3);
  expect(shownColumns({ ...chat, blind: { ...blind, isOn: false } })[0]!.name).toBe('base');
});

it('says which conversation is too long by its letter while names are hidden', () => {
  const chat = chatOf(['base', 'one'], 1);
  const prompts = [{ ids: [1] }, { ids: new Array<number>(64).fill(1) }];
  expect(() => checkRoom(chat, prompts)).toThrow(/^The conversation of one has 64 tokens/);
  const blind = { ...hidden(chat), order: [1, 0] };
  expect(() => checkRoom({ ...chat, blind }, prompts)).toThrow(/^The conversation of A has 64 tokens/);
});

it('keeps one vote a turn, and counts those of conversations that have ended', () => {
  const chat = chatOf(['base', 'one'], 2);
  expect(() => withVote(chat, 0, { column: 1 })).toThrow(/while names are hidden/);
  const begun = { ...chat, blind: hidden(chat) };
  for (const [turn, column] of [
    [2, 0],
    [0, 2],
  ] as const)
    expect(() => withVote(begun, turn, { column })).toThrow(/while names are hidden/);
  const first = { ...begun, blind: withVote(begun, 0, { column: 1 }) };
  const again = { ...first, blind: withVote(first, 0, 'alike') };
  expect(again.blind.votes).toMatchObject([{ id: first.blind.votes[0]!.id, turn: 0, choice: 'alike' }]);
  const second = { ...again, blind: withVote(again, 1, { column: 0 }) };
  expect(withVote(second, 1, null).votes).toHaveLength(1);
  const rest = afterRewind(second.blind, 1);
  expect(rest.votes.map(({ turn }) => turn)).toEqual([0, null]);
  expect(rest.order).toEqual(second.blind.order);
});

it('says of two who is preferred, of more who is told apart', () => {
  const votes = (...choices: (number | 'alike' | 'all_bad')[]) =>
    choices.map((choice, i) => ({
      id: String(i),
      choice: typeof choice === 'number' ? { column: choice } : choice,
    }));
  expect(bestWords(votes(1, 1, 'alike', 0, 'all_bad'), ['base', 'one'])).toEqual([
    'base was better 1 times, one 2 times; alike 1, both bad 1.',
    expect.stringMatching(/^Cannot tell which is preferred: base won 33 % .* sign test, p = 1/),
  ]);
  expect(bestWords(votes(...Array.from({ length: 9 }, () => 1)), ['base', 'one'])[1]).toMatch(
    /^one is preferred/,
  );
  const three = bestWords(votes(...Array.from({ length: 20 }, () => 2), 0, 'alike'), ['base', 'one', 'two']);
  expect(three[0]).toBe('Best of 3: base 1 times, one 0 times, two 20 times; alike 1, all bad 0.');
  expect(three[1]).toMatch(/^By their strengths: two \(a\), base \(b\)/);
  // Three at p = 2 * 0.5^n, times three pairs by Holm: votes of one mind tell nothing before the seventh.
  for (const count of [1, 2, 3, 4, 5, 6, 7]) {
    const said = bestWords(votes(...Array.from({ length: count }, () => 1)), ['base', 'one', 'two'])[1]!;
    const letters = [...said.matchAll(/(\w+) \((.+?)\)/g)].map(([, name, of]) => `${name} ${of}`).sort();
    const others = count < 7 ? 'a' : 'b';
    expect(letters, `${count} votes`).toEqual([`base ${others}`, 'one a', `two ${others}`]);
  }
  expect(bestWords(votes('alike'), ['a', 'b', 'c'])[1]).toBe(
    'Nobody was preferred yet: nothing can be told.',
  );
});

it('counts the votes of columns of one name apart', () => {
  const votes = [0, 1, 1].map((column, i) => ({ id: String(i), choice: { column } }));
  expect(bestWords(votes, ['tiny', 'tiny'])[0]).toBe(
    'tiny was better 1 times, tiny (2) 2 times; alike 0, both bad 0.',
  );
  expect(bestWords(votes, ['tiny', 'tiny', 'tiny (2)'])[0]).toBe(
    'Best of 3: tiny 1 times, tiny (3) 2 times, tiny (2) 0 times; alike 0, all bad 0.',
  );
});
