import { expect, it } from 'vitest';
import { duration } from '../../../src-renderer/ui/format.ts';
import { methodNames } from '../../../src-renderer/ui/methods.ts';

const hour = 3_600_000;
it.each([
  [45_000, '45 s'],
  [4 * 60_000, '4 min'],
  [2 * hour + 10 * 60_000, '2 h 10 min'],
  [71 * hour, '71 h'],
  [12 * 24 * hour, '12 days'],
  [3 * 365.25 * 24 * hour, '3 years'],
  [26_765_837 * hour, 'over 1,000 years'],
])('%d ms are %s', (milliseconds, text) => {
  expect(duration(milliseconds)).toBe(text);
});

it('calls methods as people do', () => {
  expect(methodNames('lora r3 less idlora r8')).toBe('LoRA r3 less ID-LoRA r8');
  expect(methodNames('full')).toBe('Full');
  expect(methodNames('full: too large. lora: a full disk')).toBe('Full: too large. LoRA: a full disk');
  expect(methodNames('hydralora of floral')).toBe('HydraLoRA of floral');
});
