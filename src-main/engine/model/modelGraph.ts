import { adapterSites, modulePath, type LinearSite } from '../../shape/adapterSites.ts';
import { checkStructure } from '../../options/checkAdapter.ts';
import { moduleSize } from '../../shape/modelShape.ts';
import { StudioError } from '../../contract/errors.ts';
import type { AdapterConfig, Precision } from '../../contract/training.ts';
import type { DecoderConfig } from '../../formats/families/decoderConfig.ts';
import { hasBias } from '../../formats/model/decoderWeights.ts';
import type { AdapterCall, AdapterMethod, LinearSize, ParameterSpec } from '../../methods/method.ts';
import { methodOf } from '../../methods/registry.ts';
import { methodOps } from './methodOps.ts';
import { bytesPerElement, elementCount, type DType } from '../graph/dtype.ts';
import { Graph, type Products, type Tensor } from '../graph/graph.ts';
import { cast, equal, multiply } from '../graph/ops/elementwise.ts';
import { gather, gatherByteRows, reshape, transpose } from '../graph/ops/layout.ts';
import { matmul, rowScaledMatmul } from '../graph/ops/linear.ts';
import { asWords, openSession, type Entries, type Session, type Tensorflow } from '../graph/session.ts';
import {
  assignByIndex,
  createVariable,
  readVariable,
  storedTypeOf,
  type StoredDType,
  type Variable,
} from '../graph/variables.ts';
import type { Terms } from './attention.ts';
import { dropOut } from './dropout.ts';
import { rowScaled } from './rowScaled.ts';

/** Where weights come from: a Hugging Face folder (formats/model/weightFolder.ts) or memory. */
export interface WeightSource {
  /** Null where the tensor does not exist. */
  info(name: string): { dtype: string; shape: readonly number[] } | null;
  read(name: string): Uint8Array;
}

/** An adapted module. */
export interface AdapterPlace {
  site: LinearSite;
  shape: LinearSize;
  /** The options as they hold there. */
  adapter: AdapterConfig;
}

/** A parameter of the adapter in the session. */
export interface AdapterParameter {
  /** The module that it belongs to; null: all adapted modules share it. */
  place: AdapterPlace | null;
  spec: ParameterSpec;
  /** Named by module path and suffix. */
  variable: Variable;
}

/** A session on a model, into which values get. */
export interface ModelSession<E extends Entries> extends Session<E> {
  /** Sets a variable. @param bytes its elements in the type in which they are stored */
  assign(variable: Variable, bytes: Uint8Array): void;
  /** Sets all weights of the base model from their source. */
  loadWeights(onProgress?: (done: number, total: number) => void): void;
}

/** The path of parameters that all modules share. */
const sharedPath = 'model';

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
  /** The variable is the transpose of what is stored. */
  transposed: boolean;
}

/** A linear module's weight in 8 bits, with a scale for each row. */
interface RowScaledWeight {
  variable: Variable;
  scale: Variable;
  kept: Tensor;
  scales: Tensor;
}

/**
 * A base model and its adapter inside one graph: their variables, how they are read, and how values get into them.
 * Training, scoring and decoding build their calls on it.
 *
 * With the method `full` the base is what training changes: weights are then f32 masters, cast to the compute type
 * where they are multiplied (the arithmetic of PyTorch's autocast), and there are no adapter parameters.
 */
export class ModelGraph {
  readonly graph: Graph;
  readonly config: DecoderConfig;
  readonly adapter: AdapterConfig | null;
  /** Compute type: weights and activations. What is trained is kept as f32 masters. */
  readonly dtype: DType;
  /** Full fine-tuning: every weight is trainable. */
  readonly trainsBase: boolean;
  readonly adapterParameters: AdapterParameter[] = [];
  /** The values of trainable parameters, with respect to which training differentiates. */
  readonly trainable = new Map<Variable, Tensor>();

  readonly #source: WeightSource;
  readonly #loadIn8bit: boolean;
  readonly #transposes: boolean;
  readonly #method: AdapterMethod | null;
  /** Adapted modules by path. */
  readonly #places = new Map<string, AdapterPlace>();
  readonly #weights = new Map<string, Weight>();
  readonly #rowScaled = new Map<string, RowScaledWeight>();
  readonly #parameters = new Map<string, AdapterParameter>();
  readonly #values = new Map<Variable, Tensor>();
  /** By number of rows. */
  readonly #taskInputs = new Map<number, { input: Tensor; selection: Tensor }>();

  constructor(options: {
    config: DecoderConfig;
    source: WeightSource;
    precision: Precision;
    adapter: AdapterConfig | null;
    fusion: boolean;
    products?: Products | undefined;
    /** Weights of linear modules are kept in 8 bits. */
    loadIn8bit?: boolean | undefined;
    /** Weights of linear modules are kept as [dIn, dOut]: faster where few rows are multiplied with them in f32. */
    transposesWeights?: boolean | undefined;
  }) {
    this.graph = new Graph({ fusion: options.fusion, products: options.products });
    this.config = options.config;
    this.adapter = options.adapter;
    this.dtype = options.precision;
    this.#source = options.source;
    this.#loadIn8bit = options.loadIn8bit ?? false;
    this.#transposes = options.transposesWeights ?? false;
    this.#method = options.adapter && methodOf(options.adapter);
    this.trainsBase = options.adapter !== null && this.#method === null;
    if (options.adapter) this.#declareParameters(options.adapter);
  }

  /** The weight of a Hugging Face tensor, in the compute type. */
  readonly weight = (name: string): Tensor => this.#weight(name).value;

  /** The weight as the session keeps it: f32 where it is trained, else in the compute type. */
  readonly keptWeight = (name: string): Tensor => this.#weight(name).kept;

  #weight(name: string, transposed = false): Weight {
    const known = this.#weights.get(name);
    if (known) return known;
    const { stored, ...info } = this.#infoOf(name);
    const shape = transposed ? info.shape.toReversed() : info.shape;
    const variable = createVariable(this.graph, name, shape, this.trainsBase ? 'f32' : this.dtype);
    const kept = readVariable(variable);
    if (this.trainsBase) this.trainable.set(variable, kept);
    const weight = { variable, kept, value: cast(kept, this.dtype), stored, transposed };
    this.#weights.set(name, weight);
    return weight;
  }

  /** Rows of a weight in 8 bits, in the compute type. */
  #wideRows({ kept, scales }: RowScaledWeight, numbers: Tensor): Tensor {
    const rows = cast(gatherByteRows(kept, numbers), 'f32');
    const factors = reshape(gather(scales, numbers, 0), [numbers.shape[0]!, 1]);
    return cast(multiply(rows, factors), this.dtype);
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
    const known = this.#rowScaled.get(name);
    if (known) return known;
    const shape = this.#infoOf(name).shape;
    const variable = createVariable(this.graph, name, shape, 'i8');
    const scale = createVariable(this.graph, `${name}.scales`, [shape[0]!], 'f32');
    const made = { variable, scale, kept: readVariable(variable), scales: readVariable(scale) };
    this.#rowScaled.set(name, made);
    return made;
  }

  /** The output head's weight [vocabulary, hidden], in the compute type and as the session keeps it. */
  headWeight(): Tensor {
    return this.weight(this.#headName);
  }
  keptHeadWeight(): Tensor {
    return this.keptWeight(this.#headName);
  }

  /**
   * A linear module with bias and adapter.
   * @param dropoutSeed i32 [2] in training; null: no dropout
   * @param watch gets the weights of the experts, f32 [rows, experts], where the adapter has any
   */
  linear(site: LinearSite, x: Tensor, dropoutSeed: Tensor | null, watch?: (weights: Tensor) => void): Terms {
    const path = modulePath(site);
    const name = `${path}.weight`;
    const kept = this.#loadIn8bit ? this.#rowScaledWeight(name) : null;
    const flipped = !kept && this.#transposes ? this.#weight(name, true).value : null;
    const whole = kept || flipped ? null : this.weight(name);
    const base = kept
      ? rowScaledMatmul(x, kept.kept, kept.scales)
      : matmul(x, flipped ?? whole!, { transposeY: !flipped });
    const bias = hasBias(this.config, site.module) ? [this.weight(`${path}.bias`)] : [];
    const place = this.#places.get(path);
    if (!this.#method || !place) return [base, ...bias];
    const wideRows = (scaled: RowScaledWeight, numbers: Tensor) => this.#wideRows(scaled, numbers);
    const call: AdapterCall<Tensor> = {
      config: place.adapter,
      shape: place.shape,
      rows: x.shape[0]!,
      x,
      base,
      get weight() {
        if (flipped) return transpose(flipped, [1, 0]);
        if (!whole) throw new Error(`${name} is kept in 8 bits: there is no whole weight to read`);
        return whole;
      },
      weightRows(numbers) {
        if (kept) return wideRows(kept, numbers);
        return flipped ? transpose(gather(flipped, numbers, 1), [1, 0]) : gather(whole!, numbers, 0);
      },
      taskSelection: this.#tasks(x.shape[0]!)?.selection ?? null,
      parameter: (suffix) => {
        const own = `${path}.${suffix}`;
        return this.#parameterValue(this.#parameters.has(own) ? own : `${sharedPath}.${suffix}`);
      },
      dropout: (value) =>
        dropoutSeed ? dropOut(value, { site, seed: dropoutSeed, p: place.adapter.dropout }) : value,
    };
    const terms = this.#method.forward(methodOps, call);
    if (watch && this.#method.routing) watch(this.#method.routing.weights(methodOps, call));
    return [...terms, ...bias];
  }

  /**
   * What an entry over so many token positions takes beside its ids: `tasks`, i32 [rows], where the adapter reads them,
   * else nothing.
   */
  rowInputs(rows: number): { tasks?: Tensor } {
    const tasks = this.#tasks(rows);
    return tasks ? { tasks: tasks.input } : {};
  }

  /** Numbers that training changes; counted from the variables. */
  trainableCount(): number {
    if (this.trainsBase) return this.baseCount();
    return this.adapterParameters
      .filter(({ spec }) => spec.trainable)
      .reduce((total, { variable }) => total + elementCount(variable.shape), 0);
  }

  /** Frozen numbers beyond the base, as the paper counts them. */
  frozenExtraCount(): number {
    return [...this.#places.values()].reduce(
      (total, { shape, adapter }) => total + this.#method!.frozenExtra(shape, adapter),
      0,
    );
  }

  /** Base parameters in the graph; a tied head counts once. */
  baseCount(): number {
    return [...this.#weights.values(), ...this.#rowScaled.values()].reduce(
      (n, { variable }) => n + elementCount(variable.shape),
      0,
    );
  }

  /**
   * Opens a session on the model. It is called last, when all variables are declared: weights, adapter parameters and
   * `more` can be assigned from outside.
   */
  async open<E extends Entries>(
    tf: Tensorflow,
    entries: E,
    more: readonly Variable[] = [],
  ): Promise<ModelSession<E>> {
    const targets = [
      ...this.#weights.values(),
      ...[...this.#rowScaled.values()].flatMap(({ variable, scale }) => [
        { variable, stored: 'i8' as const },
        { variable: scale, stored: 'f32' as const },
      ]),
      ...[...this.adapterParameters.map(({ variable }) => variable), ...more].map((variable) => ({
        variable,
        stored: storedTypeOf(variable),
      })),
    ];
    const index = this.graph.placeholder('assign_index', [], 'i32');
    const words = this.graph.placeholder('assign_words', [-1], 'i32');
    const done = assignByIndex(this.graph, targets, index, words);
    const indexOf = new Map(targets.map(({ variable }, i) => [variable, i]));
    const session: Session<Entries> = await openSession(tf, this.graph, {
      ...entries,
      assign: { inputs: { index, words }, outputs: { done } },
    });
    const assign = (variable: Variable, bytes: Uint8Array) => {
      const i = indexOf.get(variable)!;
      const expected = elementCount(variable.shape) * bytesPerElement[targets[i]!.stored];
      if (bytes.byteLength !== expected)
        throw new Error(`${variable.name}: ${bytes.byteLength} bytes given, ${expected} expected`);
      session.run('assign', { index: Int32Array.of(i), words: asWords(bytes) });
    };
    return {
      ...(session as Session<E>),
      assign,
      loadWeights: (onProgress) => {
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
      },
    };
  }

  /** @throws StudioError config_invalid where the adapter does not fit the model */
  #declareParameters(adapter: AdapterConfig): void {
    if (!this.#method) return;
    checkStructure(this.config, adapter);
    for (const { site, adapter: own } of adapterSites(this.config, adapter)) {
      const place = { site, shape: moduleSize(this.config, site.module), adapter: own };
      const path = modulePath(site);
      this.#places.set(path, place);
      for (const spec of this.#method.parameters(place.shape, own)) this.#declare(path, place, spec);
    }
    for (const spec of this.#method.sharedParameters(adapter)) this.#declare(sharedPath, null, spec);
  }

  get #headName(): string {
    return this.config.tieEmbeddings ? 'model.embed_tokens.weight' : 'lm_head.weight';
  }

  #declare(path: string, place: AdapterPlace | null, spec: ParameterSpec): void {
    const name = `${path}.${spec.suffix}`;
    const variable = createVariable(this.graph, name, spec.shape, spec.dtype === 'i32' ? 'i64' : spec.dtype);
    const parameter = { place, spec, variable };
    this.adapterParameters.push(parameter);
    this.#parameters.set(name, parameter);
  }

  #parameterValue(name: string): Tensor {
    const { variable, spec } = this.#parameters.get(name)!;
    const value = this.#values.get(variable) ?? readVariable(variable);
    this.#values.set(variable, value);
    if (spec.trainable) this.trainable.set(variable, value);
    return spec.dtype === 'f32' ? cast(value, this.dtype) : value;
  }

  #tasks(rows: number): { input: Tensor; selection: Tensor } | null {
    if (!this.adapter || !this.#method?.readsTasks(this.adapter)) return null;
    const known = this.#taskInputs.get(rows);
    if (known) return known;
    const input = this.graph.placeholder(`tasks_${rows}`, [rows], 'i32');
    const numbers = this.graph.constant(
      Float32Array.from({ length: this.adapter.tasks + 1 }, (_, task) => task),
      'f32',
      [1, this.adapter.tasks + 1],
    );
    const selection = cast(equal(reshape(cast(input, 'f32'), [rows, 1]), numbers), this.dtype);
    const made = { input, selection };
    this.#taskInputs.set(rows, made);
    return made;
  }
}
