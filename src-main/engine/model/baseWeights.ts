import { StudioError } from '../../contract/errors.ts';
import type { DType } from '../graph/dtype.ts';
import type { Graph, Tensor } from '../graph/graph.ts';
import { cast, multiply } from '../graph/ops/elementwise.ts';
import { gather, gatherByteRows, reshape } from '../graph/ops/layout.ts';
import { matmul, rowScaledMatmul } from '../graph/ops/linear.ts';
import { createVariable, readVariable, type Variable } from '../graph/variables.ts';
import type { StoredDType } from '../graph/words.ts';
import { rowScaled } from './rowScaled.ts';

/** Where weights come from: a Hugging Face folder (formats/model/weightFolder.ts) or memory. */
export interface WeightSource {
  /** Null where the tensor does not exist. */
  info(name: string): { dtype: string; shape: readonly number[] } | null;
  read(name: string): Uint8Array;
}

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

/** A linear module's weight in 8 bits, with a scale for each row. */
interface RowScaledWeight {
  variable: Variable;
  scale: Variable;
  kept: Tensor;
  scales: Tensor;
}

/** A linear module's weight W, however it is kept. */
export interface LinearWeight {
  /** W x. */
  product(x: Tensor): Tensor;
  /** W [dOut, dIn] in the compute type; there is none where it is kept in 8 bits. */
  whole(): Tensor;
  /** Rows of W, in the compute type. */
  rows(numbers: Tensor): Tensor;
}

/** How the weights of a base model are kept. */
export interface KeptWeights {
  /** Compute type. */
  dtype: DType;
  /** Full fine-tuning: weights are f32 masters, entered here as they are declared; null: they are frozen. */
  trained: Map<Variable, Tensor> | null;
  /** Weights of linear modules are kept in 8 bits. */
  loadIn8bit: boolean;
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
  readonly #rowScaled = new Map<string, RowScaledWeight>();

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
    if (this.#how.loadIn8bit) {
      const scaled = this.#rowScaledWeight(name);
      return {
        product: (x) => rowScaledMatmul(x, scaled.kept, scaled.scales),
        whole() {
          throw new Error(`${name} is kept in 8 bits: there is no whole weight to read`);
        },
        rows: (numbers) => this.#wideRows(scaled, numbers),
      };
    }
    const { value } = this.get(name);
    return {
      product: (x) => matmul(x, value, { transposeY: true }),
      whole: () => value,
      rows: (numbers) => gather(value, numbers, 0),
    };
  }

  /** All variables that have been declared, with the type in which their values come. */
  targets(): { variable: Variable; stored: StoredDType | 'i8' }[] {
    return [
      ...this.#weights.values(),
      ...[...this.#rowScaled.values()].flatMap(({ variable, scale }) => [
        { variable, stored: 'i8' as const },
        { variable: scale, stored: 'f32' as const },
      ]),
    ];
  }

  /** The weights, each once. */
  variables(): Variable[] {
    return [...this.#weights.values(), ...this.#rowScaled.values()].map(({ variable }) => variable);
  }

  /** Reads all that have been declared from their source. @param assign sets a variable, its bytes as stored */
  load(
    assign: (variable: Variable, bytes: Uint8Array) => void,
    onProgress?: (done: number, total: number) => void,
  ): void {
    let count = 0;
    const all = this.#weights.size + this.#rowScaled.size;
    for (const [name, { variable }] of this.#weights) {
      assign(variable, this.#source.read(name));
      onProgress?.(++count, all);
    }
    for (const [name, { variable, scale }] of this.#rowScaled) {
      const { dtype } = this.#source.info(name)!;
      const { values, scales } = rowScaled(this.#source.read(name), dtype, variable.shape[0]!);
      assign(variable, new Uint8Array(values.buffer));
      assign(scale, new Uint8Array(scales.buffer));
      onProgress?.(++count, all);
    }
  }

  /** Rows of a weight in 8 bits, in the compute type. */
  #wideRows({ kept, scales }: RowScaledWeight, numbers: Tensor): Tensor {
    const rows = cast(gatherByteRows(kept, numbers), 'f32');
    const factors = reshape(gather(scales, numbers, 0), [numbers.shape[0]!, 1]);
    return cast(multiply(rows, factors), this.#how.dtype);
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

  #rowScaledWeight(name: string): RowScaledWeight {
    return this.#rowScaled.get(name) ?? this.#graph.inMain(() => this.#declareRowScaled(name));
  }

  #declareRowScaled(name: string): RowScaledWeight {
    const shape = this.#infoOf(name).shape;
    const variable = createVariable(this.#graph, name, shape, 'i8');
    const scale = createVariable(this.#graph, `${name}.scales`, [shape[0]!], 'f32');
    const made = { variable, scale, kept: readVariable(variable), scales: readVariable(scale) };
    this.#rowScaled.set(name, made);
    return made;
  }
}
