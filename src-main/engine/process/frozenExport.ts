import type { AdapterConfig } from '../../contract/training.ts';
import { openAdapterFolder, writeAdapterFolder } from '../../formats/adapter/peftAdapter.ts';
import { trainedFolder } from '../../formats/checkpoint/checkpointFolder.ts';
import { readDecoderConfig } from '../../formats/families/huggingFaceConfig.ts';
import { findContradictions } from '../../formats/model/contradictions.ts';
import { WeightFolder } from '../../formats/model/weightFolder.ts';
import { adapterSites, modulePath } from '../../shape/adapterSites.ts';
import { modelTargets } from '../../shape/targets.ts';
import type { EngineEvent } from '../messages.ts';
import type { ExportRequest, ExportResult } from '../protocol.ts';
import { frozenUpdates, type FrozenUpdates } from './frozenUpdates.ts';
import { checkAsPeft } from './peftCheck.ts';

/**
 * A routed adapter as a LoRA that PEFT loads: the weights of its experts are those of `request.route` for every token.
 * Its scale lies in B (lora_alpha = r), since ranks may differ from module to module. With `request.rank` updates of a
 * higher one are cut to it.
 */
export function exportFrozen(request: ExportRequest, emit: (event: EngineEvent) => void): ExportResult {
  const { adapter, modelFolder } = request;
  const trained = openAdapterFolder(trainedFolder(request.checkpoint, adapter.method));
  const base = new WeightFolder(modelFolder);
  try {
    const decoder = readDecoderConfig(modelFolder);
    const sites = adapterSites(decoder, adapter);
    const updates = frozenUpdates(request, trained, base);
    let done = 0;
    const tensors = sites.flatMap(({ site, adapter: own }) => {
      const path = modulePath(site);
      const { down, up, rank } = updates.of(path, own);
      const [dIn, dOut] = [down.length / rank, up.length / rank];
      const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array) => {
        emit({ type: 'progress', label: 'Writing the files', done: ++done, total: 2 * sites.length });
        return new Uint8Array(buffer, byteOffset, byteLength);
      };
      return [
        {
          name: `${path}.lora_A.weight`,
          dtype: 'F32' as const,
          shape: [rank, dIn],
          data: () => bytesOf(updates.of(path, own).down),
        },
        {
          name: `${path}.lora_B.weight`,
          dtype: 'F32' as const,
          shape: [dOut, rank],
          data: () => bytesOf(updates.of(path, own).up),
        },
      ];
    });
    const config = frozenConfig(adapter, updates);
    const files = writeAdapterFolder(
      request.outFolder,
      { ...config, targets: modelTargets(decoder, adapter.targets) },
      { name: request.baseName, sha256: '', quantization: request.quantization },
      tensors,
    );
    const peft = checkAsPeft(request.outFolder, sites, (path, own) => {
      const { down, up, rank } = updates.of(path, own);
      return { rank, a: down, b: up, scale: 1, magnitude: null, weight: () => [] };
    });
    const contradictions = findContradictions(modelFolder);
    const cutModules = updates.cutModules();
    return { files, dtype: 'F32', peft, merged: null, contradictions, cutModules };
  } finally {
    base.close();
    trained.tensors.close();
  }
}

/** The options of the LoRA. */
function frozenConfig(adapter: AdapterConfig, { rankOf }: FrozenUpdates): AdapterConfig {
  const rank = rankOf(adapter);
  const rankPattern = Object.fromEntries(
    Object.entries(adapter.rankPattern).map(([key, own]) => [key, rankOf({ ...adapter, rank: own })]),
  );
  return {
    ...adapter,
    method: 'lora',
    rank,
    alpha: rank,
    rankStabilized: false,
    rankPattern,
    alphaPattern: rankPattern,
  };
}
