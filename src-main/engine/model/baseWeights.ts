import { StudioError } from '../../contract/errors.ts';
import type { Quantization } from '../../contract/training.ts';
import { elementCount, type DType } from '../graph/dtype.ts';
import type { Graph, Tensor } from '../graph/graph.ts';
import { cast } from '../graph/ops/elementwise.ts';
import { gather } from '../graph/ops/layout.ts';
import { frozenMatmul, matmul } from '../graph/ops/linear.ts';
import type { Target } from '../graph/transfers.ts';
import { createVariable, readVariable, type Variable } from '../graph/variables.ts';
import type { StoredDType } from '../graph/words.ts';
import {
  asQuantized,
  declareQuantized,
  type LinearWeight,
  type QuantizedWeight,
} from './quantizedWeights.ts';
import type { WeightSource } from './weightSource.ts';

const storedTypes: Record<string, StoredDType> = { F32: 'f32', BF16: 'bf16', F16: 'f16' };

/** The type that safetensors names so. The model's weights have been checked to have one. */
export function storedType(name: string): StoredDType {
  const found = storedTypes[name];
  if (!found) throw new Error(`weights stored as ${name}`);
  return found;
}

/** A tensor of the base model in the session. */
interface Weight {
  variable: Variable;
  /** The variable's value. */
  kept: Tensor;
  /** The same in the compute type. */
  value: Tensor;
  stored: StoredDType;
}

/** How the weights of a base model are kept. */
export interface KeptWeights {
  /** Compute type. */
  dtype: DType;
  /** Full fine-tuning: weights are f32 masters, entered here as they are declared; null: they are frozen. */
  trained: Map<Variable, Tensor> | null;
  /** Of the weights of linear modules. */
  quantization: Quantization;
}

/**
 * The weights of a base model as variables of a graph, each declared when it is read first. Several adapters in one
 * graph read the same ones.
 */
export class BaseWeights {
  readonly #graph: Graph;
  readonly #source: WeightSource;
  readonly #how: KeptWeights;
  readonly #weights = new Map<string, Weight>();
  readonly #quantized = new Map<string, QuantizedWeight>();

  constructor(graph: Graph, source: WeightSource, how: KeptWeights) {
    this.#graph = graph;
    this.#source = source;
    this.#how = how;
  }

  /** The weight of a Hugging Face tensor, as the session keeps it and in the compute type. */
  get(name: string): Pick<Weight, 'kept' | 'value'> {
    return this.#weights.get(name) ?? this.#graph.inMain(() => this.#declare(name));
  }

  #declare(name: string): Weight {
    const { dtype, trained } = this.#how;
    const { stored, shape } = this.#infoOf(name);
    const variable = createVariable(this.#graph, name, shape, trained ? 'f32' : dtype);
    const kept = readVariable(variable);
    trained?.set(variable, kept);
    const weight = { variable, kept, value: cast(kept, dtype), stored };
    this.#weights.set(name, weight);
    return weight;
  }

  /** The weight of a linear module. @param name of its tensor */
  linear(name: string): LinearWeight {
    const { quantization, trained } = this.#how;
    if (quantization !== 'none')
      return (
        this.#quantized.get(name) ?? this.#graph.inMain(() => this.#declareQuantized(name, quantization))
      );
    const { value } = this.get(name);
    return {
      product: (x) => (trained ? matmul(x, value, { transposeY: true }) : frozenMatmul(x, value)),
      whole: () => value,
      rows: (numbers) => gather(value, numbers, 0),
    };
  }

  /** All variables that have been declared, with the type in which their values come. */
  targets(): Target[] {
    return [...this.#weights.values(), ...[...this.#quantized.values()].flatMap(({ targets }) => targets)];
  }

  /** Numbers in the weights, each once. */
  count(): number {
    const shapes = [
      ...[...this.#weights.values()].map(({ variable }) => variable),
      ...this.#quantized.values(),
    ];
    return shapes.reduce((total, { shape }) => total + elementCount(shape), 0);
  }

  /** Reads all that have been declared from their source. @param assign sets a variable, its bytes as stored */
  load(
    assign: (variable: Variable, bytes: Uint8Array) => void,
    onProgress?: (done: number, total: number) => void,
  ): void {
    let count = 0;
    const all = this.#weights.size + this.#quantized.size;
    for (const [name, { variable }] of this.#weights) {
      assign(variable, this.#source.read(name));
      onProgress?.(++count, all);
    }
    for (const weight of this.#quantized.values()) {
      weight.load(this.#source, assign);
      onProgress?.(++count, all);
    }
  }

  /** @throws StudioError model_invalid where it is not there, or is no weight */
  #infoOf(name: string): { shape: readonly number[]; stored: StoredDType } {
    const info = this.#source.info(name);
    const stored = info && storedTypes[info.dtype];
    if (!info || !stored)
      throw new StudioError(
        'model_invalid',
        info
          ? `Tensor ${name} is stored as ${info.dtype}, which is not a floating-point weight.`
          : `The model has no tensor ${name}.`,
        info
          ? 'Choose the unquantized model: F32, BF16 and F16 weights can be read.'
          : 'Take config.json and the weights from the same model, and all shards of it.',
      );
    return { shape: info.shape, stored };
  }

  #declareQuantized(name: string, kind: Exclude<Quantization, 'none'>): QuantizedWeight {
    const { shape } = this.#infoOf(name);
    const hasPlainScales = this.#source.nf4Scales?.(name) === 'plain';
    const place = { graph: this.#graph, name, shape, dtype: this.#how.dtype, hasPlainScales };
    const weight = declareQuantized(kind, place);
    this.#quantized.set(name, weight);
    return weight;
  }
}

/**
 * The weights of linear modules as training reads them: the numbers that are left of those that are kept in fewer bits.
 * What is chosen by them (pivots, norms) is chosen by what the model then computes with.
 */
export function asKept(source: WeightSource, quantization: Quantization): WeightSource {
  if (quantization === 'none') return source;
  return {
    info(name) {
      const info = source.info(name);
      return info && { dtype: 'F32', shape: info.shape };
    },
    read(name) {
      const values = asQuantized(quantization, source, name);
      return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    },
  };
}
