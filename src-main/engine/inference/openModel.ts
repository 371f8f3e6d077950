import { readDecoderConfig } from '../../formats/families/huggingFaceConfig.ts';
import { checkWeights } from '../../formats/model/decoderWeights.ts';
import {
  appliedConfig,
  checkWhole,
  openAdapterFolder,
  otherBaseRemedy,
  type AdapterFolder,
} from '../../formats/adapter/peftAdapter.ts';
import { WeightFolder } from '../../formats/model/weightFolder.ts';
import { StudioError } from '../../contract/errors.ts';
import { checkStoredRows } from '../adapters/storedRows.ts';
import { checkTensors, storedValue } from '../adapters/storedValues.ts';
import type { Entries } from '../graph/session.ts';
import { ModelGraph, type ModelSession } from '../model/modelGraph.ts';
import type { JobContext } from '../jobContext.ts';
import type { ModelReference } from '../protocol.ts';

export interface OpenModel {
  model: ModelGraph;
  /** Loads weights and adapter into a session built on the model. */
  load(session: ModelSession<Entries>): void;
  close(): void;
}

/**
 * Opens a base model, with an adapter folder or without, for scoring or decoding.
 * @throws StudioError as the readers of the folders do
 */
export function openModel(
  reference: ModelReference,
  context: Pick<JobContext, 'fusion' | 'products' | 'device' | 'emit'>,
): OpenModel {
  const config = readDecoderConfig(reference.folder);
  const weights = new WeightFolder(reference.folder);
  const adapter = reference.adapterFolder === null ? null : openAdapterFolder(reference.adapterFolder);
  const close = () => {
    weights.close();
    adapter?.tensors.close();
  };
  try {
    checkWeights(config, weights);
    const model = new ModelGraph({
      config,
      source: weights,
      precision: reference.precision,
      adapter: adapter && appliedConfig(adapter),
      fusion: context.fusion,
      products: context.products,
      device: context.device,
      quantization: reference.quantization,
    });
    if (adapter) checkAdapter(model, adapter, weights, reference);
    return {
      model,
      close,
      load(session) {
        session.loadWeights((done, total) =>
          context.emit({ type: 'progress', label: 'Loading weights', done, total }),
        );
        if (adapter) loadAdapter(session, model, adapter);
      },
    };
  } catch (error) {
    close();
    throw error;
  }
}

/**
 * Checks that an adapter is whole and belongs to the base.
 * @throws StudioError adapter_invalid, model_unsupported
 */
export function checkAdapter(
  model: ModelGraph,
  adapter: AdapterFolder,
  weights: WeightFolder,
  { folder, weightsSha256 }: Pick<ModelReference, 'folder' | 'weightsSha256'>,
): void {
  checkTensors(model.adapterParameters, adapter, weights);
  checkWhole(model.config, adapter);
  const { baseSha256, baseName } = adapter;
  // Whoever stores the rows that the indices mean needs no base of the same bytes, only one with these rows.
  const hasOwnRows = checkStoredRows(adapter, weights);
  if (baseSha256 === null || hasOwnRows) return;
  const own = weightsSha256 ?? weights.contentHash();
  if (baseSha256 !== own)
    throw new StudioError(
      'adapter_invalid',
      `The adapter's pivots refer to base weights ${baseSha256.slice(0, 12)}… (${baseName ?? 'without a name'}), and ${folder} has ${own.slice(0, 12)}….`,
      otherBaseRemedy(adapter),
    );
}

/** Puts the values of an adapter folder into a session. */
export function loadAdapter(
  session: Pick<ModelSession<Entries>, 'assign'>,
  { adapterParameters }: Pick<ModelGraph, 'adapterParameters'>,
  adapter: AdapterFolder,
): void {
  for (const parameter of adapterParameters)
    session.assign(parameter.variable, storedValue(parameter, adapter));
}
