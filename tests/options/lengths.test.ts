import { expect, it } from 'vitest';
import { fittingContext } from '../../src-main/options/lengths.ts';
import { optionDefaults } from '../../src-main/options/trainingOptions.ts';

it('keeps a context that the model has, and refuses a longer one with the nearest', () => {
  expect(fittingContext(96, 96)).toBe(96);
  expect(() => fittingContext(97, 96)).toThrow(
    expect.objectContaining({
      code: 'config_invalid',
      message: expect.stringMatching(/context of 97 tokens .* after 96/) as string,
      remedy: 'Set the context to 96 or less.',
      option: ['context'],
    }),
  );
});

it('takes the positions of a model that has fewer than the default', () => {
  expect(fittingContext(optionDefaults.context, 96)).toBe(96);
});
