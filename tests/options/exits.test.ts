import { expect, it } from 'vitest';
import type { Quantization } from '../../src-main/contract/training.ts';
import { roundedBaseNote } from '../../src-main/options/exits.ts';

it('says that a base was rounded where it is not kept as it is stored', () => {
  const note = (kept: Quantization, quantization: string | null) =>
    roundedBaseNote(kept, { quantization }, false);
  for (const [kept, stored] of [
    ['none', null],
    ['none', 'NF4'],
    ['nf4', 'NF4'],
    ['int8', 'INT8'],
  ] as const)
    expect(note(kept, stored), `${kept} of ${stored}`).toBeNull();
  for (const stored of [null, 'FP4', 'INT8', 'Q4_K'])
    expect(note('nf4', stored)).toMatch(/4 bits \(NF4\)\.$/);
  for (const stored of [null, 'NF4', 'Q8_0']) expect(note('int8', stored)).toMatch(/rounded to 8 bits\.$/);
});
