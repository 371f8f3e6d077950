import { describe, expect, it } from 'vitest';
import { mixPresets, presetDatasets } from '../../src-main/contract/mixing/mixPresets.ts';

const library = (names: Record<string, string>) =>
  Object.entries(names).map(([name, sourcePath]) => ({ id: name, name, sourcePath }));
const preset = (id: string) => mixPresets.find((known) => known.id === id)!;

describe('datasets for a preset', () => {
  it('are found by name before path, training parts before test parts, each for one part', () => {
    const datasets = library({
      'gsm8k-test': '/data/gsm8k/test.jsonl',
      'gsm8k-train': '/data/gsm8k/train.jsonl',
      train: '/data/gsm8k/train.jsonl',
      code_alpaca_2k: '/data/code_alpaca_2k.json',
      alpaca_data: '/data/alpaca_data.json',
    });
    expect(presetDatasets(preset('multi_task'), datasets)).toEqual([
      'alpaca_data',
      'gsm8k-train',
      'code_alpaca_2k',
    ]);
  });

  it('are not taken twice, and are null where the library has none', () => {
    const datasets = library({ 'CodeAlpaca-20k': '/x/CodeAlpaca-20k.json', train: '/x/gsm8k/train.jsonl' });
    expect(presetDatasets(preset('multi_task'), datasets)).toEqual([null, 'train', 'CodeAlpaca-20k']);
    expect(presetDatasets(preset('saferpaca'), library({ saferpaca_alpaca: '/x' }))).toEqual([
      'saferpaca_alpaca',
      null,
    ]);
  });
});
