import { typeAttribute, type Shape, type Tensor } from '../graph.ts';

/**
 * Uniform numbers in [0, 1), a pure function of the seed: the same seed gives the same numbers in every process.
 * @param seed i32 [2]
 */
export function statelessUniform(seed: Tensor, shape: Shape): Tensor {
  const [out] = seed.graph.addOperation({
    op: 'StatelessRandomUniform',
    inputs: [seed.graph.constant(shape, 'i32'), seed],
    attributes: {
      ...typeAttribute('f32', 'dtype'),
      ...typeAttribute('i32', 'T'),
      ...typeAttribute('i32', 'Tseed'),
    },
    outputs: [{ shape, dtype: 'f32' }],
  });
  return out!;
}
