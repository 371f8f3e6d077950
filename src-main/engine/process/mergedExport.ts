import { adapterKey, openAdapterFolder, type AdapterFolder } from '../../formats/adapter/peftAdapter.ts';
import { trainedFolder } from '../../formats/checkpoint/checkpointFolder.ts';
import { readDecoderConfig } from '../../formats/families/huggingFaceConfig.ts';
import { asFloat32, asStored } from '../../formats/files/floats.ts';
import type { TensorToWrite } from '../../formats/files/safetensors.ts';
import { findContradictions } from '../../formats/model/contradictions.ts';
import { writeModelFolder } from '../../formats/model/modelFolder.ts';
import { WeightFolder } from '../../formats/model/weightFolder.ts';
import { updateScale } from '../../methods/method.ts';
import { adapterSites, modulePath } from '../../shape/adapterSites.ts';
import type { EngineEvent } from '../messages.ts';
import type { ExportRequest, ExportResult } from '../protocol.ts';

/** Rows of a weight are merged and written in blocks of so many bytes: no tensor is held as a whole. */
const blockBytes = 8 * 1024 * 1024;

/** What an adapter makes of the rows of one weight. */
interface Merge {
  /** c B [dOut, r] and A [r, dIn]. */
  up: Float32Array;
  down: Float32Array;
  /** DoRA's magnitude [dOut]; null: the update is added. */
  magnitude: Float32Array | null;
}

/**
 * A LoRA or DoRA adapter merged into its base, as a folder of its own: W' = W + c B A, and for DoRA m W' / ||W'|| by
 * rows. Computed in f32 and rounded once to the type in which the base stores the weight.
 */
export function exportMerged(request: ExportRequest, emit: (event: EngineEvent) => void): ExportResult {
  const adapter = openAdapterFolder(trainedFolder(request.checkpoint, request.adapter.method));
  const base = new WeightFolder(request.modelFolder);
  try {
    const sites = adapterSites(readDecoderConfig(request.modelFolder), request.adapter);
    const merges = new Map(
      sites.map(({ site, adapter: own }) => {
        const path = modulePath(site);
        return [`${path}.weight`, () => readMerge(adapter, path, updateScale(own))];
      }),
    );
    let done = 0;
    const tensors = base.names.map((name): TensorToWrite => {
      const { dtype, shape } = base.info(name)!;
      const told = function* () {
        yield* mergedBlocks(base, name, merges.get(name)?.() ?? null);
        emit({ type: 'progress', label: 'Writing the files', done: ++done, total: base.names.length });
      };
      return { name, dtype, shape, data: told };
    });
    // The service writes the card: it knows scores and data.
    const files = writeModelFolder(request.outFolder, {
      base: request.modelFolder,
      tensors,
      dtype: null,
      card: '',
    });
    const narrowest = ['BF16', 'F16'].find((dtype) => tensors.some((tensor) => tensor.dtype === dtype));
    return {
      files,
      dtype: narrowest ?? 'F32',
      peft: null,
      contradictions: findContradictions(request.outFolder),
    };
  } finally {
    base.close();
    adapter.tensors.close();
  }
}

function readMerge({ tensors, keys }: AdapterFolder, path: string, scale: number): Merge {
  const read = (suffix: string) => {
    const key = keys.get(`${path}.${suffix}`) ?? adapterKey(`${path}.${suffix}`);
    return asFloat32(tensors.read(key), tensors.tensors.get(key)!.dtype);
  };
  return {
    up: read('lora_B.weight').map((value) => scale * value),
    down: read('lora_A.weight'),
    magnitude: keys.has(`${path}.lora_magnitude_vector`) ? read('lora_magnitude_vector') : null,
  };
}

/** The bytes of a weight with the update in it, block by block. */
function* mergedBlocks(base: WeightFolder, name: string, merge: Merge | null): Generator<Uint8Array> {
  const { dtype, shape, byteLength } = base.info(name)!;
  const rows = shape[0] ?? 1;
  const rowBytes = byteLength / rows;
  const step = Math.max(1, Math.floor(blockBytes / rowBytes));
  for (let row = 0; row < rows; row += step) {
    const end = Math.min(rows, row + step);
    const bytes = base.readRange(name, row * rowBytes, end * rowBytes);
    if (!merge) yield bytes;
    else {
      const values = Float32Array.from(asFloat32(bytes, dtype));
      addUpdate(values, merge, row, end - row);
      yield asStored(values, dtype);
    }
  }
}

/** Merges the update into rows first..first + count of a weight, in place. */
function addUpdate(values: Float32Array, { up, down, magnitude }: Merge, first: number, count: number): void {
  const dIn = values.length / count;
  const rank = down.length / dIn;
  for (let i = 0; i < count; i++) {
    const row = values.subarray(i * dIn, (i + 1) * dIn);
    for (let k = 0; k < rank; k++) {
      const factor = up[(first + i) * rank + k]!;
      const direction = down.subarray(k * dIn, (k + 1) * dIn);
      for (let j = 0; j < dIn; j++) row[j]! += factor * direction[j]!;
    }
    if (magnitude) {
      let squares = 0;
      for (let j = 0; j < dIn; j++) squares += row[j]! * row[j]!;
      const ratio = magnitude[first + i]! / Math.sqrt(squares);
      for (let j = 0; j < dIn; j++) row[j]! *= ratio;
    }
  }
}
