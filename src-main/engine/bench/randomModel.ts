import { createRandom } from '../../statistics/random.ts';
import { llamaConfig, type DecoderConfig } from '../../formats/families/decoderConfig.ts';
import { expectedWeights } from '../../formats/model/decoderWeights.ts';
import { elementCount } from '../graph/dtype.ts';
import type { WeightSource } from '../model/weightSource.ts';
import type { BenchShape } from '../benchProtocol.ts';

/** What a plain Llama has of what families differ in. */
export const llamaTraits = {
  queryKeyValueBias: false,
  outputBias: false,
  mlpBias: false,
  queryKeyNorm: 'none',
  normPlacement: 'before',
  fusedProjections: false,
} as const;

/** A Llama configuration of the shape. */
export function benchConfig(shape: BenchShape, contextLength: number): DecoderConfig {
  return llamaConfig(
    {
      ...shape,
      tieEmbeddings: false,
      ...llamaTraits,
    },
    contextLength,
  );
}

/** Random bf16 weights, standard deviation 0.02, made tensor by tensor when they are read; norm gains are 1. */
export function randomWeights(config: DecoderConfig): WeightSource {
  const shapes = expectedWeights(config);
  // A table of values is enough: speed does not depend on them, and 100 million normal draws would take longer than the
  // measurement.
  const random = createRandom(1);
  const table = Uint16Array.from(
    { length: 65_521 },
    () => new Uint32Array(Float32Array.of(0.02 * random.normal()).buffer)[0]! >>> 16,
  );
  const one = 0x3f80;
  return {
    info(name) {
      const shape = shapes.get(name);
      return shape ? { dtype: 'BF16', shape } : null;
    },
    read(name) {
      const isGain = name.endsWith('norm.weight');
      const values = new Uint16Array(elementCount(shapes.get(name)!));
      if (isGain) values.fill(one);
      else
        for (let at = 0; at < values.length; at += table.length)
          values.set(table.subarray(0, values.length - at), at);
      return new Uint8Array(values.buffer);
    },
  };
}
