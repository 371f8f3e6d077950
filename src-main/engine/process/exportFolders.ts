import type { PeftCheck } from '../../contract/results.ts';
import { adapterKey, openAdapterFolder, writeAdapterFolder } from '../../formats/adapter/peftAdapter.ts';
import { readDecoderConfig } from '../../formats/families/huggingFaceConfig.ts';
import { asFloat32 } from '../../formats/files/floats.ts';
import type { SafetensorsFile } from '../../formats/files/safetensors.ts';
import { findContradictions } from '../../formats/model/contradictions.ts';
import { WeightFolder } from '../../formats/model/weightFolder.ts';
import { updateScale } from '../../methods/method.ts';
import { loadsInPeft } from '../../options/exits.ts';
import { adapterSites } from '../../shape/adapterSites.ts';
import { modelTargets } from '../../shape/targets.ts';
import { trainedFolder } from '../../formats/checkpoint/checkpointFolder.ts';
import { modulesWithRows } from '../../formats/adapter/adapterRows.ts';
import { isRowTensor, rowTensors, type ReadTensor } from '../adapters/storedRows.ts';
import { exportFrozen } from './frozenExport.ts';
import { exportGgufAdapter } from './ggufAdapterExport.ts';
import { exportGgufModel } from './ggufModelExport.ts';
import { exportMerged } from './mergedExport.ts';
import { checkAsPeft } from './peftCheck.ts';
import type { EngineEvent } from '../messages.ts';
import type { ExportRequest, ExportResult } from '../protocol.ts';

type Emit = (event: EngineEvent) => void;

/** Writes what a checkpoint holds in the form that is asked for. */
export function exportFolder(request: ExportRequest, emit: Emit = () => undefined): ExportResult {
  if (request.format === 'peft') return exportAdapter(request, emit);
  if (request.format === 'lora') return exportFrozen(request, emit);
  if (request.format === 'gguf-lora') return exportGgufAdapter(request, emit);
  return request.format === 'gguf' ? exportGgufModel(request, emit) : exportMerged(request, emit);
}

/**
 * A checkpoint's adapter as a folder of its own, read and written anew so that what leaves is what our reader accepts.
 */
export function exportAdapter(request: ExportRequest, emit: Emit = () => undefined): ExportResult {
  const { method } = request.adapter;
  const adapter = openAdapterFolder(trainedFolder(request.checkpoint, method));
  const weights = new WeightFolder(request.modelFolder);
  try {
    // Bases that are no rows lie in the file anyhow.
    const embedsRows = request.embedPivots === true && modulesWithRows(adapter.keys).length > 0;
    // Rows that an adapter brought lie in the file only where they are asked for.
    const own = [...adapter.keys].filter(([name]) => !isRowTensor(name));
    const trained = own.map(([name, key]): ReadTensor => {
      const { dtype, shape } = adapter.tensors.tensors.get(key)!;
      return { name, dtype, shape, data: () => adapter.tensors.read(key) };
    });
    const tensors = [...trained, ...(embedsRows ? rowTensors(adapter, weights) : [])];
    const base = {
      name: request.baseName,
      // Only methods that refer to rows of the base write it, and their checkpoints have it.
      sha256: adapter.baseSha256 ?? '',
      quantization: request.quantization,
      embedsRows,
    };
    // PEFT knows the modules by the names that the model has for them.
    const targets = modelTargets(readDecoderConfig(request.modelFolder), adapter.config.targets);
    const told = tellingOf(tensors, emit);
    const files = writeAdapterFolder(request.outFolder, { ...adapter.config, targets }, base, told);
    const peft = loadsInPeft(method) ? checkNative(request, weights, adapter.tensors) : null;
    const contradictions = findContradictions(request.modelFolder);
    return { files, dtype: 'F32', peft, merged: null, contradictions, cutModules: null };
  } finally {
    weights.close();
    adapter.tensors.close();
  }
}

/** What PEFT makes of an exported LoRA or DoRA, against the checkpoint's numbers. */
function checkNative(request: ExportRequest, weights: WeightFolder, trained: SafetensorsFile): PeftCheck {
  const sites = adapterSites(readDecoderConfig(request.modelFolder), request.adapter);
  return checkAsPeft(request.outFolder, sites, (path, own) => {
    const read = (suffix: string) => asFloat32(trained.read(adapterKey(`${path}.${suffix}`)), 'F32');
    const isDora = own.method === 'dora';
    const name = `${path}.weight`;
    const base = isDora ? asFloat32(weights.read(name), weights.info(name)!.dtype) : new Float32Array(0);
    const a = read('lora_A.weight');
    const dIn = a.length / own.rank;
    return {
      rank: own.rank,
      a,
      b: read('lora_B.weight'),
      scale: updateScale(own),
      magnitude: isDora ? read('lora_magnitude_vector') : null,
      weight: (row) => base.subarray(row * dIn, (row + 1) * dIn),
    };
  });
}

/** The tensors, which tell of their number as they are read to be written. */
function tellingOf<T extends { data(): Uint8Array }>(tensors: readonly T[], emit: Emit): T[] {
  let done = 0;
  return tensors.map((tensor) => ({
    ...tensor,
    data() {
      const bytes = tensor.data();
      emit({ type: 'progress', label: 'Writing the files', done: ++done, total: tensors.length });
      return bytes;
    },
  }));
}
