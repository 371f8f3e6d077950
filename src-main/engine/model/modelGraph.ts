import { adapterSites, modulePath, type LinearSite } from '../../shape/adapterSites.ts';
import { checkStructure } from '../../options/checkAdapter.ts';
import { possibleParts } from '../../options/deviceSizes.ts';
import type { WorkParts } from '../../contract/forecast.ts';
import { moduleSize } from '../../shape/modelShape.ts';
import type { AdapterConfig, Precision, Quantization } from '../../contract/training.ts';
import type { DecoderConfig } from '../../formats/families/decoderConfig.ts';
import { hasBias } from '../../formats/model/decoderWeights.ts';
import type { AdapterCall, AdapterMethod, LinearSize, ParameterSpec } from '../../methods/method.ts';
import { methodOf } from '../../methods/registry.ts';
import { methodOps } from './methodOps.ts';
import { castTogether } from '../graph/fused.ts';
import { elementCount, type DType } from '../graph/dtype.ts';
import { Graph, type Device, type Products, type Tensor } from '../graph/graph.ts';
import { cast, equal } from '../graph/ops/elementwise.ts';
import { reshape } from '../graph/ops/layout.ts';
import { openSession, type Entries, type Session, type Tensorflow } from '../graph/session.ts';
import { declareTransfers, type Transfers } from '../graph/transfers.ts';
import { createVariable, readVariable, type Variable } from '../graph/variables.ts';
import { storedTypeOf } from '../graph/words.ts';
import type { Terms } from './attention.ts';
import { BaseWeights } from './baseWeights.ts';
import type { WeightSource } from './weightSource.ts';
import { dropOut } from './dropout.ts';

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
  /** Module path and suffix. */
  name: string;
  /** Called by the name; in a graph with several adapters each has its own begin. */
  variable: Variable;
}

/** A session on a model, into which values get. */
export interface ModelSession<E extends Entries> extends Session<E>, Pick<Transfers, 'assign' | 'read'> {
  /** Sets all weights of the base model from their source. */
  loadWeights(onProgress?: (done: number, total: number) => void): void;
}

/** The path of parameters that all modules share. */
const sharedPath = 'model';

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
  readonly quantization: Quantization;
  readonly weights: BaseWeights;
  readonly adapterParameters: AdapterParameter[] = [];
  /** The values of trainable parameters, with respect to which training differentiates. */
  readonly trainable = new Map<Variable, Tensor>();

  readonly #method: AdapterMethod | null;
  readonly #embeddingRows: ((ids: Int32Array) => Float32Array) | null;
  readonly #prefix: string;
  /** Adapted modules by path. */
  readonly #places = new Map<string, AdapterPlace>();
  readonly #parameters = new Map<string, AdapterParameter>();
  readonly #values = new Map<Variable, Tensor>();
  /** By name, where those of a layer are cast together. */
  readonly #castValues = new Map<string, Tensor>();
  /** By number of rows. */
  readonly #taskInputs: Map<number, Tensor>;
  readonly #taskSelections = new Map<number, Tensor>();

  constructor(options: {
    config: DecoderConfig;
    source: WeightSource;
    precision: Precision;
    adapter: AdapterConfig | null;
    fusion: boolean;
    products?: Products | undefined;
    device?: Device | undefined;
    /** Into what parts work is cut; absent: the fastest that suit the device and such a base. */
    parts?: WorkParts | undefined;
    /** How the weights of linear modules are kept; absent: in the compute type. */
    quantization?: Quantization | undefined;
    /**
     * Gives rows of the embedding, f32, which whole-row passes are then fed with their ids: the session does not keep
     * it. Absent: it does.
     */
    embeddingRows?: ((ids: Int32Array) => Float32Array) | undefined;
    /**
     * A model of the same base without an adapter, whose graph and weights this one shares: several adapters stand on
     * one copy. Its options must be the same; `prefix` begins the names of this one's variables.
     */
    shares?: { base: ModelGraph; prefix: string } | undefined;
  }) {
    const { shares, parts = possibleParts(options.device ?? 'cpu', options.quantization)[0] } = options;
    this.graph = shares?.base.graph ?? new Graph({ ...options, parts });
    this.#prefix = shares?.prefix ?? '';
    this.#taskInputs = shares ? shares.base.#taskInputs : new Map<number, Tensor>();
    this.config = options.config;
    this.adapter = options.adapter;
    this.dtype = options.precision;
    this.#method = options.adapter && methodOf(options.adapter);
    this.#embeddingRows = options.embeddingRows ?? null;
    this.quantization = options.quantization ?? 'none';
    this.trainsBase = options.adapter !== null && this.#method === null;
    this.weights =
      shares?.base.weights ??
      new BaseWeights(this.graph, options.source, {
        dtype: this.dtype,
        trained: this.trainsBase ? this.trainable : null,
        quantization: this.quantization,
      });
    if (options.adapter) this.#declareParameters(options.adapter);
  }

  /** The weight of a Hugging Face tensor, in the compute type. */
  readonly weight = (name: string): Tensor => this.weights.get(name).value;

  /** The weight as the session keeps it: f32 where it is trained, else in the compute type. */
  readonly keptWeight = (name: string): Tensor => this.weights.get(name).kept;

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
    return [...this.adapted(site, x, this.product(site, x), dropoutSeed, watch), ...this.bias(site)];
  }

  /** W x of a linear module. */
  product(site: LinearSite, x: Tensor): Tensor {
    return this.weights.linear(`${modulePath(site)}.weight`).product(x);
  }

  /** The bias of a linear module, where it has one. */
  bias(site: LinearSite): Terms {
    return hasBias(this.config, site.module) ? [this.weight(`${modulePath(site)}.bias`)] : [];
  }

  /** What the adapter makes of a linear module's output without bias; see `linear`. @param base its `product` */
  adapted(
    site: LinearSite,
    x: Tensor,
    base: Tensor,
    dropoutSeed: Tensor | null,
    watch?: (weights: Tensor) => void,
  ): Terms {
    const path = modulePath(site);
    const place = this.#places.get(path);
    if (!this.#method || !place) return [base];
    const weight = this.weights.linear(`${path}.weight`);
    const call: AdapterCall<Tensor> = {
      config: place.adapter,
      shape: place.shape,
      rows: x.shape[0]!,
      x,
      base,
      get weight() {
        return weight.whole(x);
      },
      weightRows: (numbers, after) => this.graph.after([after], () => weight.rows(numbers)),
      product: (value) => weight.product(value),
      taskSelection: this.#taskSelection(x.shape[0]!),
      parameter: (suffix) => {
        const own = `${path}.${suffix}`;
        return this.#parameterValue(this.#parameters.has(own) ? own : `${sharedPath}.${suffix}`);
      },
      dropout: (value) =>
        dropoutSeed ? dropOut(value, { site, seed: dropoutSeed, p: place.adapter.dropout }) : value,
    };
    const terms = this.#method.forward(methodOps, call);
    if (watch && this.#method.routing) watch(this.#method.routing.weights(methodOps, call));
    return terms;
  }

  /**
   * What an entry over so many token positions takes beside its ids: `tasks`, i32 [rows], where the adapter reads them,
   * else nothing.
   */
  rowInputs(rows: number): { tasks?: Tensor } {
    return this.readsTasks ? { tasks: this.#taskInput(rows) } : {};
  }

  /** What passes over so many tokens take of the embedding, f32 [rows, hidden]: nothing where the session keeps it. */
  embeddedInput(name: string, rows: number): { embedded?: Tensor } {
    return this.#embeddingRows
      ? { embedded: this.graph.placeholder(name, [rows, this.config.hiddenSize], 'f32') }
      : {};
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
    const { vocabularySize, hiddenSize } = this.config;
    return this.weights.count() + (this.#embeddingRows ? vocabularySize * hiddenSize : 0);
  }

  /**
   * Opens a session on the model. It is called last, when all variables are declared.
   * @param variables.assigned can be assigned from outside, besides weights and adapter parameters
   * @param variables.kept can be read
   */
  async open<E extends Entries>(
    tf: Tensorflow,
    entries: E,
    { assigned = [], kept = [] }: { assigned?: readonly Variable[]; kept?: readonly Variable[] } = {},
  ): Promise<ModelSession<E>> {
    const targets = [
      ...this.weights.targets(),
      ...[...this.adapterParameters.map(({ variable }) => variable), ...assigned].map((variable) => ({
        variable,
        stored: storedTypeOf(variable),
      })),
    ];
    const transfers = declareTransfers(this.graph, targets, kept);
    const session: Session<Entries> = await openSession(tf, this.graph, { ...entries, ...transfers.entries });
    const { assign, read, settle } = transfers.connect(session);
    const embeddingRows = this.#embeddingRows;
    const withEmbedded = <F extends object>(feeds: F): F =>
      embeddingRows && 'ids' in feeds
        ? { ...feeds, embedded: embeddingRows(feeds.ids as Int32Array) }
        : feeds;
    return {
      run(name, feeds) {
        settle();
        return (session as Session<E>).run(name, withEmbedded(feeds));
      },
      call(entry, feeds) {
        settle();
        return session.call(entry, feeds);
      },
      close: session.close,
      assign,
      read,
      loadWeights: (onProgress) => this.weights.load(assign, onProgress),
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
    const type = spec.dtype === 'i32' ? 'i64' : spec.dtype;
    const variable = createVariable(this.graph, `${this.#prefix}${name}`, spec.shape, type);
    const parameter = { place, spec, name, variable };
    this.adapterParameters.push(parameter);
    this.#parameters.set(name, parameter);
  }

  #parameterValue(name: string): Tensor {
    const parameter = this.#parameters.get(name)!;
    const { spec, variable } = parameter;
    const value = this.#read(variable);
    if (spec.trainable) this.trainable.set(variable, value);
    if (spec.dtype !== 'f32') return value;
    return this.graph.device === 'gpu' && this.graph.fusion
      ? this.#castWithLayer(parameter)
      : cast(value, this.dtype);
  }

  #read(variable: Variable): Tensor {
    const value = this.#values.get(variable) ?? this.graph.inMain(() => readVariable(variable));
    this.#values.set(variable, value);
    return value;
  }

  /** A parameter in the compute type, made at once for all of its layer. */
  #castWithLayer({ name, place }: AdapterParameter): Tensor {
    const known = this.#castValues.get(name);
    if (known || this.dtype === 'f32') return known ?? this.#read(this.#parameters.get(name)!.variable);
    const all = [...this.#parameters.values()].filter(
      ({ spec, place: other }) => spec.dtype === 'f32' && other?.site.layer === place?.site.layer,
    );
    const values = all.map(({ variable }) => this.#read(variable));
    const made = this.graph.inMain(() => castTogether(values, this.dtype));
    all.forEach((parameter, i) => this.#castValues.set(parameter.name, made[i]!));
    return this.#castValues.get(name)!;
  }

  /** Whether the adapter routes tokens to experts. */
  get hasExperts(): boolean {
    return this.#method?.routing !== undefined;
  }

  /** Whether the adapter tells the tasks of tokens apart. */
  get readsTasks(): boolean {
    return this.adapter !== null && (this.#method?.readsTasks(this.adapter) ?? false);
  }

  #taskInput(rows: number): Tensor {
    const known = this.#taskInputs.get(rows);
    if (known) return known;
    const input = this.graph.inMain(() => this.graph.placeholder(`tasks_${rows}`, [rows], 'i32'));
    this.#taskInputs.set(rows, input);
    return input;
  }

  #taskSelection(rows: number): Tensor | null {
    if (!this.readsTasks) return null;
    return this.#taskSelections.get(rows) ?? this.graph.inMain(() => this.#selectTasks(rows));
  }

  #selectTasks(rows: number): Tensor {
    const count = this.adapter!.tasks + 1;
    const numbers = this.graph.constant(
      Float32Array.from({ length: count }, (_, task) => task),
      'f32',
      [1, count],
    );
    const asked = reshape(cast(this.#taskInput(rows), 'f32'), [rows, 1]);
    const selection = cast(equal(asked, numbers), this.dtype);
    this.#taskSelections.set(rows, selection);
    return selection;
  }
}
