import { expect, it } from 'vitest';
import { layOutPacks } from '../../src-main/engine/model/batches.ts';
import { expectWithin } from '../support/parity/parityBounds.ts';
import {
  lossAndGradients,
  openParityCase,
  parityCases,
  recordedValues,
} from '../support/parity/parityCase.ts';
import { floats, relativeError } from '../support/parity/recordedValues.ts';

const packed = parityCases.filter(({ label }) => label.endsWith('-packed'));

it('families without, with, and with a sliding window on some layers are recorded', () => {
  expect(new Set(packed.map(({ model }) => model))).toEqual(
    new Set(['tiny-llama', 'tiny-mistral', 'tiny-gemma3']),
  );
});

it.each(packed)('$name: one pack against transformers with positions and a mask by blocks', async (known) => {
  const lengths = known.rows.map((row) => row.length);
  const tokens = lengths.reduce((total, length) => total + length, 0);
  const layout = { batch: 1, tokens, longestExample: Math.max(...lengths) };
  const open = await openParityCase(known, { layout, exposeGradients: true });
  const { loss, gradients } = lossAndGradients({ ...open, batch: layOutPacks([open.rows], layout) });
  expectWithin('loss', known.name, Math.abs(loss - known.loss));
  const values = recordedValues(known.name);
  for (const [key, gradient] of gradients)
    expectWithin('gradient', `${known.name} ${key}`, relativeError(gradient, floats(values, key)));
  values.close();
  open.graph.session.close();
});
