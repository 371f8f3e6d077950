import { expect, it } from 'vitest';
import { endingText, templateText } from '../../../src-renderer/options/templateText.ts';

it('says the template, the system text and where an answer ends, by the names of the tokens', () => {
  const own = { name: 'model', mergesSystem: true, endTokens: ['<|im_end|>', '</s>'], stop: [] } as const;
  expect(templateText(own, null)).toBe('the model’s own template');
  expect(templateText(own, 'Be brief.')).toBe(
    'the model’s own template, with the system text “Be brief.” before the question',
  );
  expect(endingText(own)).toBe('An answer ends at <|im_end|> or </s>.');
  const alpaca = { name: 'alpaca', mergesSystem: false, endTokens: ['</s>'], stop: ['\n###'] } as const;
  expect(templateText(alpaca, null)).toMatch(/^the template “.+”$/);
  expect(endingText(alpaca)).toBe('An answer ends at </s>, or before "\\n###".');
  expect(endingText({ ...alpaca, endTokens: [], stop: [] })).toBe('Nothing but its length ends an answer.');
});
