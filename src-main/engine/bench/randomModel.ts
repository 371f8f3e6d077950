import { createRandom } from '../../statistics/random.ts';
import { llamaConfig, type DecoderConfig } from '../../formats/families/decoderConfig.ts';
import { expectedWeights } from '../../formats/model/decoderWeights.ts';
import { elementCount } from '../graph/dtype.ts';
import type { Entries } from '../graph/session.ts';
import type { ModelGraph, ModelSession } from '../model/modelGraph.ts';
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
      tieEmbeddings: false,
      ...shape,
      ...llamaTraits,
    },
    contextLength,
  );
}

/** A table of values is enough: speed does not depend on them, and 100 million normal draws would take longer. */
const tableSize = 65_521;
const deviation = 0.02;

function normalTable(): Float32Array {
  const random = createRandom(1);
  return Float32Array.from({ length: tableSize }, () => deviation * random.normal());
}

/** Random bf16 weights, standard deviation 0.02, made tensor by tensor when they are read; norm gains are 1. */
export function randomWeights(config: DecoderConfig): WeightSource {
  const shapes = expectedWeights(config);
  const table = Uint16Array.from(new Uint32Array(normalTable().buffer), (bits) => bits >>> 16);
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
      else repeated(table, values);
      return new Uint8Array(values.buffer);
    },
  };
}

/** Rows of a random embedding, f32, as a run reads those of a pass from a file. @returns for ids [ids, hidden] */
export function randomEmbedding({ hiddenSize }: Pick<DecoderConfig, 'hiddenSize'>) {
  const table = normalTable();
  return (ids: Int32Array): Float32Array => {
    const rows = new Float32Array(ids.length * hiddenSize);
    ids.forEach((id, i) => {
      for (let at = 0; at < hiddenSize; at++)
        rows[i * hiddenSize + at] = table[(id * hiddenSize + at) % tableSize]!;
    });
    return rows;
  };
}

/**
 * Sets the weights of a session. Those in fewer bits get random ones as they are kept: to quantize billions of random
 * numbers would take minutes.
 */
export function fillWeights(
  { weights, quantization }: Pick<ModelGraph, 'weights' | 'quantization'>,
  session: Pick<ModelSession<Entries>, 'assign' | 'loadWeights'>,
  source: WeightSource,
): void {
  if (quantization === 'none') return session.loadWeights();
  const table = Uint8Array.from(new Uint32Array(normalTable().buffer), (bits) => bits >>> 8);
  for (const { variable, stored } of weights.targets()) {
    const isCode = stored === 'u8' || stored === 'i8';
    if (!isCode && source.info(variable.name)) session.assign(variable, source.read(variable.name));
    else {
      const count = elementCount(variable.shape);
      const scales = () => new Uint8Array(new Float32Array(count).fill(deviation).buffer);
      session.assign(variable, isCode ? repeated(table, new Uint8Array(count)) : scales());
    }
  }
}

function repeated<T extends Uint8Array | Uint16Array>(table: T, values: T): T {
  for (let at = 0; at < values.length; at += table.length)
    values.set(table.subarray(0, values.length - at), at);
  return values;
}
