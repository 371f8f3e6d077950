import { appliedConfig, openAdapterFolder, type AdapterFolder } from '../../formats/adapter/peftAdapter.ts';
import { readDecoderConfig } from '../../formats/families/huggingFaceConfig.ts';
import { checkWeights } from '../../formats/model/decoderWeights.ts';
import { WeightFolder } from '../../formats/model/weightFolder.ts';
import { cast, equal, select } from '../graph/ops/elementwise.ts';
import { reshape } from '../graph/ops/layout.ts';
import type { Tensor } from '../graph/graph.ts';
import type { Entries } from '../graph/session.ts';
import { ModelGraph, type ModelSession } from '../model/modelGraph.ts';
import { checkTask } from '../model/taskNumbers.ts';
import type { JobContext } from '../jobContext.ts';
import type { ModelReference } from '../protocol.ts';
import type { DecodedModel } from './decodingGraph.ts';
import { checkAdapter, loadAdapter } from './openModel.ts';

/** A base model with any number of adapters beside each other. */
export interface OpenColumns {
  model: DecodedModel;
  /** Loads the base's weights once, and all adapters. */
  load(session: ModelSession<Entries>): void;
  close(): void;
}

/**
 * Opens one copy of a base model and several adapters on it, for decoding. Rows of one batch may have different
 * adapters: the product with a base weight is computed for all rows at once, each adapter adds what it adds, and a row
 * takes what its own adapter made of it. An adapter whose numbers are not finite spoils only its own rows.
 * @param folders of the adapters by their numbers; null: the base alone
 * @throws StudioError as openModel does
 */
export function openColumns(
  reference: Omit<ModelReference, 'adapterFolder'>,
  folders: readonly (string | null)[],
  context: Pick<JobContext, 'fusion' | 'products' | 'device' | 'emit'>,
): OpenColumns {
  const config = readDecoderConfig(reference.folder);
  const weights = new WeightFolder(reference.folder);
  const adapters: (AdapterFolder | null)[] = [];
  const close = () => {
    weights.close();
    for (const adapter of adapters) adapter?.tensors.close();
  };
  try {
    checkWeights(config, weights);
    const { precision, quantization } = reference;
    const options = {
      config,
      source: weights,
      precision,
      quantization,
      fusion: context.fusion,
      products: context.products,
      device: context.device,
    };
    const base = new ModelGraph({ ...options, adapter: null });
    const models = folders.map((folder, number) => {
      if (folder === null) {
        adapters.push(null);
        return base;
      }
      const adapter = openAdapterFolder(folder);
      adapters.push(adapter);
      const shares = { base, prefix: `adapter${number}.` };
      const model = new ModelGraph({ ...options, adapter: appliedConfig(adapter), shares });
      checkAdapter(model, adapter, weights, reference);
      checkTask(model.adapter, 0);
      return model;
    });
    return {
      model: chosenByRow(base, models),
      close,
      load(session) {
        session.loadWeights((done, total) =>
          context.emit({ type: 'progress', label: 'Loading weights', done, total }),
        );
        models.forEach((model, number) => {
          const adapter = adapters[number];
          if (adapter) loadAdapter(session, model, adapter);
        });
      },
    };
  } catch (error) {
    close();
    throw error;
  }
}

/** The models as one, where the input `adapters` tells which of them computes each token. */
function chosenByRow(base: ModelGraph, models: readonly ModelGraph[]): DecodedModel {
  const { graph, config, dtype, keptWeight } = base;
  const inputs = new Map<number, Tensor>();
  const inputOf = (rows: number): Tensor => {
    const input =
      inputs.get(rows) ?? graph.inMain(() => graph.placeholder(`adapters_${rows}`, [rows], 'i32'));
    inputs.set(rows, input);
    return input;
  };
  /** The addend that each row's own adapter made. @param made of each adapter; null: it has no such one */
  const chooseTerm = (rows: number, made: readonly (Tensor | null)[]): Tensor => {
    const [first, ...others] = made.map((term) => term ?? graph.constant(0, dtype));
    if (others.every((other) => other === first)) return first!;
    const numbers = reshape(cast(inputOf(rows), 'f32'), [rows, 1]);
    return others.reduce(
      (value, other, i) => select(equal(numbers, graph.constant(i + 1, 'f32')), other, value),
      first!,
    );
  };
  return {
    graph,
    config,
    dtype,
    quantization: base.quantization,
    keptWeight,
    headWeight: () => base.headWeight(),
    rowInputs: (rows) => ({
      ...(models.length > 1 && { adapters: inputOf(rows) }),
      ...Object.assign({}, ...models.map((model) => model.rowInputs(rows))),
    }),
    linear(site, x, dropoutSeed) {
      const rows = x.shape[0]!;
      const product = base.product(site, x);
      const made = models.map((model) => model.adapted(site, x, product, dropoutSeed));
      const count = made.reduce((most, { length }) => Math.max(most, length), 0);
      // Addend by addend, as each adapter's would be added alone: they are summed in f32 later.
      const terms = Array.from({ length: count }, (_, term) =>
        chooseTerm(
          rows,
          made.map((of) => of[term] ?? null),
        ),
      );
      return [...terms, ...base.bias(site)];
    },
    open(tf, entries, { assigned = [] } = {}) {
      const own = models.flatMap(({ adapterParameters }) =>
        adapterParameters.map(({ variable }) => variable),
      );
      return base.open(tf, entries, { assigned: [...own, ...assigned] });
    },
  };
}
