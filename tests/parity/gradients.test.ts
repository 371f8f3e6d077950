import { describe, expect, it } from 'vitest';
import { expectWithin } from '../support/parity/parityBounds.ts';
import {
  lossAndGradients,
  openParityCase,
  parityCases,
  recordedValues,
  type OpenOptions,
  type ParityCase,
} from '../support/parity/parityCase.ts';
import { isLive } from '../support/paths.ts';
import { floats, relativeError } from '../support/parity/recordedValues.ts';

/** The others are in packing.test.ts. */
const single = parityCases.filter(({ label }) => !label.endsWith('-packed'));
/** What other families add to the graph: norms behind, caps, scales, matrices in one, each seen by every parameter. */
const unlike = ['tiny-gemma2-full', 'tiny-granite-full', 'tiny-olmo2-lora', 'tiny-phi3-long-lora'];
/** The same functions as of other cases, with other sizes or in other places. */
const alike = /-(k1|k16|s4|attention|patterns|placed)$/;
/** Compiling XLA functions takes seconds a case: one model shows it for every method. */
const fused = single.filter(
  ({ model, name, label }) =>
    (model === 'tiny-llama' && (isLive || !alike.test(label))) || unlike.includes(name),
);

describe.each([
  ['plain', { fusion: false }, single],
  ['XLA functions', { fusion: true }, fused],
  ['gradient checkpointing', { fusion: false, train: { gradientCheckpointing: true } }, fused],
])('against PyTorch, %s', (_label, options: OpenOptions, cases: ParityCase[]) => {
  it.each(cases)('$name: trainable count, loss and every gradient', async (known) => {
    const open = await openParityCase(known, { ...options, exposeGradients: true });
    expect(open.model.trainableCount()).toBe(known.trainable);
    const { loss, gradients } = lossAndGradients(open);
    expectWithin('loss', known.name, Math.abs(loss - known.loss));
    const values = recordedValues(known.name);
    expect([...gradients.keys()].toSorted()).toEqual(
      [...values.tensors.keys()].filter((key) => key !== 'logits').toSorted(),
    );
    for (const [key, gradient] of gradients)
      expectWithin('gradient', `${known.name} ${key}`, relativeError(gradient, floats(values, key)));
    values.close();
    open.graph.session.close();
  });
});

it('every family has every method', () => {
  const labelsOf = (model: string) =>
    parityCases.filter((known) => known.model === model).map(({ label }) => label);
  const mixtures = ['hydralora', 'moelora'];
  const idLora = ['idlora', 'idlora-pivot', 'idlora-linear-s1', 'idlora-s4', 'idlora-k1', 'idlora-k16'];
  for (const model of ['tiny-llama', 'tiny-mistral', 'tiny-qwen2', 'tiny-qwen3'])
    expect(labelsOf(model)).toEqual(expect.arrayContaining(['full', 'lora', 'dora', ...mixtures, ...idLora]));
});
