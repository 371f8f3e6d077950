import { describe, expect, it } from 'vitest';
import { StudioError } from '../../src-main/contract/errors.ts';
import { readMixDocument, type NumberMeaning } from '../../src-main/options/mixDocument.ts';

const read = (text: string, meaning?: NumberMeaning) => {
  const { from, parts, rules } = readMixDocument(text, meaning);
  return {
    from,
    parts: parts.map(({ name, amount }) => `${name} ${amount ? `${amount.by} ${amount.value}` : 'by size'}`),
    rules,
  };
};
const refusal = (text: string, meaning?: NumberMeaning) => {
  try {
    readMixDocument(text, meaning);
  } catch (error) {
    if (error instanceof StudioError) return `${error.code}: ${error.message}`;
    throw error;
  }
  return null;
};

describe('the mixing of other programs', () => {
  it('is read from LLaMA-Factory: its strategies are stop rules, and concat heeds no numbers', () => {
    const given = (strategy: string) =>
      `dataset: alpaca,gsm8k\nmix_strategy: ${strategy}\ninterleave_probs: 0.7,0.3\nseed: 7\n`;
    expect(read(given('interleave_under'))).toEqual({
      from: 'LLaMA-Factory',
      parts: ['alpaca weight 0.7', 'gsm8k weight 0.3'],
      rules: { unit: 'rows', stop: 'first', size: null, seed: 7 },
    });
    expect(read(given('interleave_over')).rules.stop).toBe('all');
    expect(read(given('interleave_once')).rules.stop).toBe('once');
    expect(read(given('concat'))).toMatchObject({
      parts: ['alpaca by size', 'gsm8k by size'],
      rules: { stop: 'once' },
    });
    // Without probabilities it goes round.
    expect(read('dataset: [a, b]\nmix_strategy: interleave_over\n').parts).toEqual([
      'a weight 1',
      'b weight 1',
    ]);
    expect(refusal('dataset: a,b\nmix_strategy: interleave_over\ninterleave_probs: 0.5\n')).toContain(
      '2 datasets and 1 numbers',
    );
    expect(refusal('dataset: a,b\nmix_strategy: sideways\n')).toContain('mix_strategy');
  });

  it('is read from datasets, TRL, axolotl, open-instruct and Mosaic Streaming', () => {
    expect(
      read(
        '{"datasets": ["a", "b"], "probabilities": [0.9, 0.1], "stopping_strategy": "all_exhausted_without_replacement"}',
      ),
    ).toEqual({
      from: 'Hugging Face datasets',
      parts: ['a weight 0.9', 'b weight 0.1'],
      rules: { unit: 'rows', stop: 'once', size: null },
    });
    // As there: the scarcest source ends it, and a source without a fraction has 1.
    expect(read('datasets:\n- path: a\n  fraction: 0.25\n- path: b\n')).toEqual({
      from: 'TRL',
      parts: ['a weight 0.25', 'b weight 1'],
      rules: { unit: 'rows', stop: 'first', size: null },
    });
    expect(read('datasets:\n- path: a\n- path: b\n').rules.stop).toBe('once');
    // A fraction is a part of the source, a whole number above 1 a count.
    expect(read('{"dataset_mixer": {"a": 0.5, "b": 2000}}').parts).toEqual(['a epochs 0.5', 'b count 2000']);
    expect(read('streams:\n  a: {proportion: 0.25}\n  b: {proportion: 0.75}\nepoch_size: 1000\n')).toEqual({
      from: 'Mosaic Streaming',
      parts: ['a weight 0.25', 'b weight 0.75'],
      rules: { unit: 'rows', stop: 'size', size: 1000 },
    });
    expect(read('streams:\n  a: {repeat: 2}\n  b: {choose: 300}\n  c: {}\n').parts).toEqual([
      'a epochs 2',
      'b count 300',
      'c epochs 1',
    ]);
    expect(refusal('streams:\n  a: {repeat: 2, choose: 3}\n')).toContain('more than one of');
  });

  it('is asked for where a number could be a share or a count, and never guessed', () => {
    const weights = 'datasets:\n- path: a\n  weight: 2\n- path: b\n  weight: 0.5\n';
    expect(refusal(weights)).toMatch(/^number_ambiguous: The number 2 of "weight" could be/);
    expect(read(weights, 'epochs').parts).toEqual(['a epochs 2', 'b epochs 0.5']);
    expect(read(weights, 'weight').parts).toEqual(['a weight 2', 'b weight 0.5']);
    // In JSON 1 and 1.0 are the same: the whole source, or one row of it.
    expect(refusal('{"dataset_mixer": {"a": 1, "b": 0.5}}')).toMatch(
      /^number_ambiguous: The number 1 of "a"/,
    );
    expect(read('{"dataset_mixer": {"a": 1.0, "b": 0.5}}', 'epochs').parts).toEqual([
      'a epochs 1',
      'b epochs 0.5',
    ]);
    expect(read('{"dataset_mixer": {"a": 1, "b": 0.5}}', 'count').parts[0]).toBe('a count 1');
  });

  it('is refused where it is none, with what there is', () => {
    expect(refusal('learning_rate: 1\nrank: 2\n')).toContain('the keys learning_rate, rank');
    expect(refusal('[1, 2')).toContain('neither YAML nor JSON');
    expect(refusal('- a\n- b\n')).toContain('(none)');
    expect(refusal('{"dataset_mixer": {"a": -1}}')).toContain('dataset_mixer');
    expect(refusal('a: &x [1]\nb: *x\n')).not.toBeNull();
  });
});
