import { expect, it } from 'vitest';
import { wordDiff } from '../../../src-renderer/ui/wordDiff.ts';

it.each([
  ['The cat sat.', 'The dog sat.'],
  ['', 'new text'],
  ['old text', ''],
  ['same words here', 'same words here'],
  ['a b c d e', 'b c x e f'],
  ['ends with space ', 'ends with  two\nlines'],
  ['word '.repeat(2000), 'other'],
])('%j -> %j is taken apart so that both can be put together again', (before, after) => {
  const parts = wordDiff(before, after);
  const text = (kind: string) =>
    parts
      .filter((part) => part.kind === 'both' || part.kind === kind)
      .map((part) => part.text)
      .join('');
  expect(text('before')).toBe(before);
  expect(text('after')).toBe(after);
});

it('marks only the words that differ', () => {
  expect(wordDiff('The cat sat down.', 'The dog sat down again.')).toEqual([
    { kind: 'both', text: 'The' },
    { kind: 'before', text: ' cat' },
    { kind: 'after', text: ' dog' },
    { kind: 'both', text: ' sat' },
    { kind: 'before', text: ' down.' },
    { kind: 'after', text: ' down again.' },
  ]);
  expect(wordDiff('same', 'same')).toEqual([{ kind: 'both', text: 'same' }]);
});
