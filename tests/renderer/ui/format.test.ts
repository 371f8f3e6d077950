import { describe, expect, it } from 'vitest';
import { formatScore } from '../../../src-main/cli/output.ts';
import { score, verdictOf } from '../../../src-renderer/ui/format.ts';

describe('a score with its interval', () => {
  it('has bounds, which near 0 and 100 % are not as far to both sides', () => {
    const none = { score: 0, interval: [0, 0.1611] as [number, number], metric: 'accuracy' as const, n: 20 };
    expect(score(none)).toBe('0 % (0 to 16)');
    expect(formatScore('accuracy', 0, none.interval)).toBe('0 % (0 to 16)');
    expect(score({ ...none, score: 0.6346, interval: [0.6083, 0.6602], n: 1319 })).toBe(
      '63.5 % (60.8 to 66.0)',
    );
  });
  it('of a perplexity says nothing with hardly any items', () => {
    const few = {
      score: 12.4,
      interval: [1, Number.MAX_VALUE] as [number, number],
      metric: 'perplexity' as const,
    };
    expect(score({ ...few, n: 1 })).toBe('12.4');
    expect(formatScore('perplexity', 12.4, few.interval)).toBe('12.40');
    expect(score({ ...few, interval: [12.1, 12.71], n: 900 })).toBe('12.40 (12.10 to 12.71)');
  });
});

it('says of nobody that it leads where the test cannot tell', () => {
  const words = (verdict: 'a_better' | 'b_better' | 'cannot_tell') =>
    verdictOf({ verdict, a: 'lora', b: 'idlora' }).words;
  expect(words('cannot_tell')).toBe('Cannot tell idlora and lora apart yet');
  expect(words('b_better')).toBe('idlora is better than lora');
  expect(words('a_better')).toBe('idlora is worse than lora');
});
