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
import { asFloat32 } from '../../formats/files/floats.ts';
import { createIdentityReader } from '../../formats/model/identity.ts';
import { WeightFolder } from '../../formats/model/weightFolder.ts';
import { methodOf } from '../../methods/registry.ts';
import { modelTargets } from '../../shape/targets.ts';
import { storedValue } from '../adapters/storedValues.ts';
import { checkAdapter } from '../inference/openModel.ts';
import type { EngineEvent } from '../messages.ts';
import { ModelGraph, type AdapterParameter } from '../model/modelGraph.ts';
import type { AdoptRequest, AdoptResult } from '../protocol.ts';

/**
 * Writes an adapter that was trained elsewhere as the checkpoint of step 0 of a run. What is written is what the engine
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
      const adapter = { ...applied, targets: modelTargets(config, applied.targets) };
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
      const temporary = join(checkpointFolder, partialName(0));
      rmSync(temporary, { recursive: true, force: true });
      mkdirSync(temporary, { recursive: true });
      try {
        const base = { name: modelFolder, sha256, loadIn8bit: false };
        writeAdapterFolder(trainedFolder(temporary, adapter.method), adapter, base, tensors);
        const identity = createIdentityReader().read(modelFolder, sha256);
        writeFileAtomic(join(temporary, 'state.json'), `${JSON.stringify({ base: identity })}\n`);
        renameSync(temporary, join(checkpointFolder, checkpointName(0)));
        syncFolder(checkpointFolder);
      } catch (error) {
        rmSync(temporary, { recursive: true, force: true });
        throw error;
      }
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
