import { mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { StudioError } from '../../contract/errors.ts';
import {
  appliedConfig,
  openAdapterFolder,
  wholeRemedy,
  writeAdapterFolder,
  type AdapterTensor,
} from '../../formats/adapter/peftAdapter.ts';
import { checkpointName, partialName, trainedFolder } from '../../formats/checkpoint/checkpointFolder.ts';
import { readDecoderConfig } from '../../formats/families/huggingFaceConfig.ts';
import { syncFolder, writeFileAtomic } from '../../formats/files/atomicFile.ts';
import { asFloat32, asStored } from '../../formats/files/floats.ts';
import { expectedWeights } from '../../formats/model/decoderWeights.ts';
import { createIdentityReader } from '../../formats/model/identity.ts';
import { writeModelFolder } from '../../formats/model/modelFolder.ts';
import { WeightFolder } from '../../formats/model/weightFolder.ts';
import { methodOf } from '../../methods/registry.ts';
import { modelTargets } from '../../shape/targets.ts';
import { elementCount } from '../graph/dtype.ts';
import { storedValue } from '../adapters/storedValues.ts';
import { checkAdapter } from '../inference/openModel.ts';
import type { EngineEvent } from '../messages.ts';
import { ModelGraph, type AdapterParameter } from '../model/modelGraph.ts';
import type { AdoptModelRequest, AdoptRequest, AdoptResult, EngineResults } from '../protocol.ts';

/**
 * Writes an adapter that was trained elsewhere as a checkpoint of a run. What is written is what the engine
 * would load: f32, canonical names, nothing but the adapter, so that it is evaluated, exported and trained on like the
 * studio's own.
 * @throws StudioError adapter_invalid, model_unsupported, config_invalid: it is damaged, or belongs to another base
 */
export function adoptAdapter(request: AdoptRequest, emit: (event: EngineEvent) => void): AdoptResult {
  const { modelFolder, adapterFolder, checkpointFolder } = request;
  const config = readDecoderConfig(modelFolder);
  const weights = new WeightFolder(modelFolder);
  try {
    const folder = openAdapterFolder(adapterFolder);
    try {
      const applied = appliedConfig(folder);
      const adapter = request.handed?.adapter ?? {
        ...applied,
        targets: modelTargets(config, applied.targets),
      };
      if (adapter.method !== applied.method)
        throw new StudioError(
          'adapter_invalid',
          `${adapterFolder} is an adapter of the method ${applied.method}, and ${adapter.method} was to be trained.`,
          wholeRemedy,
        );
      const model = new ModelGraph({ config, source: weights, precision: 'f32', adapter, fusion: false });
      const sha256 = request.weightsSha256 ?? weights.contentHash();
      checkAdapter(model, folder, weights, { folder: modelFolder, weightsSha256: sha256 });
      const { adapterParameters: parameters } = model;
      let done = 0;
      const tensors = parameters.map((parameter): AdapterTensor => {
        const { name, spec } = parameter;
        const data = () => {
          const bytes = storedValue(parameter, folder);
          checkFinite(parameter, bytes);
          emit({ type: 'progress', label: 'Reading the adapter', done: ++done, total: parameters.length });
          return bytes;
        };
        return { name, dtype: spec.dtype === 'f32' ? 'F32' : 'I32', shape: spec.shape, data };
      });
      const { step = 0, quantization = 'none' } = request.handed ?? {};
      writeAdopted({ modelFolder, sha256, checkpointFolder, step }, (temporary) => {
        const base = { name: modelFolder, sha256, quantization };
        writeAdapterFolder(trainedFolder(temporary, adapter.method), adapter, base, tensors);
      });
      const own = new Set(parameters.map(({ name }) => name));
      const unread = methodOf(adapter)?.unreadSuffixes ?? [];
      return {
        adapter,
        trainable: model.trainableCount(),
        frozenExtra: model.frozenExtraCount(),
        // Whatever else passed the check has the numbers of the base.
        sameWeights: [...folder.keys.keys()].filter(
          (name) => !own.has(name) && !unread.some((suffix) => name.endsWith(`.${suffix}`)),
        ),
      };
    } finally {
      folder.tensors.close();
    }
  } finally {
    weights.close();
  }
}

/**
 * Writes the weights that full fine-tuning reached elsewhere as a checkpoint of a run, as f32 masters.
 * @throws StudioError adapter_invalid: a tensor is missing, has another shape or holds no numbers
 */
export function adoptModel(
  request: AdoptModelRequest,
  emit: (event: EngineEvent) => void,
): EngineResults['adoptModel'] {
  const { modelFolder, checkpointFolder, step } = request;
  const [base, trained] = [new WeightFolder(modelFolder), new WeightFolder(request.trainedFolder)];
  try {
    // Not the base's own names: it may have copies and tables that nothing computes with, and that nobody saves.
    const expected = [...expectedWeights(readDecoderConfig(modelFolder))];
    const damaged = (what: string) =>
      new StudioError(
        'adapter_invalid',
        `${request.trainedFolder} is not what full fine-tuning of this base leaves: ${what}.`,
        'Copy the folder once more from where it was trained.',
      );
    let done = 0;
    const tensors = expected.map(([name, shape]) => {
      const info = trained.info(name);
      if (info?.shape.join() !== shape.join())
        throw damaged(`${name} is [${info?.shape.join() ?? 'missing'}] instead of [${shape.join()}]`);
      const data = () => {
        const values = asFloat32(trained.read(name), info.dtype);
        if (!values.every(Number.isFinite)) throw damaged(`${name} has values that are no finite numbers`);
        emit({ type: 'progress', label: 'Reading the weights', done: ++done, total: expected.length });
        return asStored(values, 'F32');
      };
      return { name, dtype: 'F32' as const, shape, data };
    });
    const sha256 = request.weightsSha256 ?? base.contentHash();
    writeAdopted({ modelFolder, sha256, checkpointFolder, step }, (temporary) =>
      writeModelFolder(trainedFolder(temporary, 'full'), {
        base: modelFolder,
        tensors,
        dtype: 'F32',
        card: null,
      }),
    );
    const sizes = expected.map(([, shape]) => elementCount(shape));
    return { trainable: sizes.reduce((sum, size) => sum + size, 0) };
  } finally {
    base.close();
    trained.close();
  }
}

/** Writes a checkpoint without an optimizer: complete or absent. */
function writeAdopted(
  place: { modelFolder: string; sha256: string; checkpointFolder: string; step: number },
  write: (temporary: string) => void,
): void {
  const { modelFolder, sha256, checkpointFolder, step } = place;
  const temporary = join(checkpointFolder, partialName(step));
  rmSync(temporary, { recursive: true, force: true });
  mkdirSync(temporary, { recursive: true });
  try {
    write(temporary);
    const identity = createIdentityReader().read(modelFolder, sha256);
    writeFileAtomic(join(temporary, 'state.json'), `${JSON.stringify({ base: identity })}\n`);
    renameSync(temporary, join(checkpointFolder, checkpointName(step)));
    syncFolder(checkpointFolder);
  } catch (error) {
    rmSync(temporary, { recursive: true, force: true });
    throw error;
  }
}

/** @throws StudioError adapter_invalid: it would compute nothing */
function checkFinite({ name, spec }: AdapterParameter, bytes: Uint8Array): void {
  if (spec.dtype !== 'f32') return;
  if (asFloat32(bytes, 'F32').every(Number.isFinite)) return;
  throw new StudioError(
    'adapter_invalid',
    `The adapter's tensor ${name} has values that are no finite numbers: its training went wrong, or the file is damaged.`,
    wholeRemedy,
  );
}
