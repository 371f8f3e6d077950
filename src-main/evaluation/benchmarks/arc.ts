import { benchmarkDefaults, type ChoiceBenchmark } from './benchmark.ts';
import { byLength, readChoices } from './choices.ts';
import { itemId } from './recordFields.ts';

export const arc: ChoiceBenchmark = {
  ...benchmarkDefaults('choice'),
  ...byLength,
  name: 'arc',
  label: 'ARC',
  about:
    'Science questions of school: accuracy of the likeliest answer text, and by its length (normalized, which is what papers give).',
  data: 'ARC’s Easy or Challenge test file.',
  version: 'ai2_arc-1',
  item(record) {
    const { question, choices, right } = readChoices(record, 'ARC');
    const asked = `Question: ${question}\nAnswer:`;
    const target = choices[right]!;
    return {
      id: itemId(record, asked, 'id'),
      group: null,
      question: asked,
      solution: target,
      target,
      choices,
      right,
    };
  },
};
