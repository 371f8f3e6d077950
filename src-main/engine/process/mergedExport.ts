import type { AdapterConfig } from '../../contract/training.ts';
import { adapterKey, openAdapterFolder, type AdapterFolder } from '../../formats/adapter/peftAdapter.ts';
import { trainedFolder } from '../../formats/checkpoint/checkpointFolder.ts';
import { readDecoderConfig } from '../../formats/families/huggingFaceConfig.ts';
import { asFloat32 } from '../../formats/files/floats.ts';
import type { TensorToWrite } from '../../formats/files/safetensors.ts';
import { findContradictions } from '../../formats/model/contradictions.ts';
import { writeModelFolder } from '../../formats/model/modelFolder.ts';
import { WeightFolder } from '../../formats/model/weightFolder.ts';
import { updateScale } from '../../methods/method.ts';
import { adapterSites, modulePath } from '../../shape/adapterSites.ts';
import type { EngineEvent } from '../messages.ts';
import type { ExportRequest, ExportResult } from '../protocol.ts';
import { frozenUpdates } from './frozenUpdates.ts';
import { checkMerged, type MergeOf, type MergedUpdate } from './mergedCheck.ts';
import { RowMerger, type MergedWeight } from './rowMerger.ts';

/** Rows of a weight are merged and written in blocks of so many bytes: no tensor is held as a whole. */
const blockBytes = 8 * 1024 * 1024;

/**
 * A whole model as a folder of its own, block by block: the base with a LoRA or DoRA merged, or with a routed adapter
 * under a frozen route, or after full fine-tuning the trained weights. W' = W + c B A, and for DoRA m W' / ||W'|| by
 * rows; computed in f32 and rounded once, to nearest and ties to even, to `request.dtype` or the type in which the base
 * stores the weight.
 * @throws StudioError config_invalid for numbers that the type does not hold
 */
export function exportMerged(request: ExportRequest, emit: (event: EngineEvent) => void): ExportResult {
  const { adapter } = request;
  const base = new WeightFolder(request.modelFolder);
  const isFull = adapter.method === 'full';
  const source = isFull ? new WeightFolder(trainedFolder(request.checkpoint, 'full')) : base;
  const trained = isFull ? null : openAdapterFolder(trainedFolder(request.checkpoint, adapter.method));
  try {
    const sites = trained ? adapterSites(readDecoderConfig(request.modelFolder), adapter) : [];
    const mergeOf = trained && mergesOf(request, trained, base);
    const merges = new Map(
      sites.map(({ site, adapter: own }) => {
        const path = modulePath(site);
        return [`${path}.weight`, () => mergeOf!(path, own)];
      }),
    );
    const merger = new RowMerger();
    let done = 0;
    const tensors = source.names.map((name): TensorToWrite => {
      const stored = base.info(name)!.dtype;
      const dtype = request.dtype ?? stored;
      const told = function* () {
        yield* blocks(source, merger, { name, dtype, update: merges.get(name)?.() ?? null });
        emit({ type: 'progress', label: 'Writing the files', done: ++done, total: source.names.length });
      };
      return { name, dtype, shape: source.info(name)!.shape, data: told };
    });
    // The service writes the card: it knows scores and data.
    const files = writeModelFolder(request.outFolder, {
      base: request.modelFolder,
      tensors,
      dtype: request.dtype ?? null,
      card: '',
      ...(request.shardBytes !== undefined && { shardBytes: request.shardBytes }),
    });
    const narrowest = ['BF16', 'F16'].find((dtype) => tensors.some((tensor) => tensor.dtype === dtype));
    return {
      files,
      dtype: narrowest ?? 'F32',
      peft: null,
      merged: mergeOf && checkMerged(request.outFolder, { base, sites, mergeOf }),
      contradictions: findContradictions(request.outFolder),
      cutModules: null,
    };
  } finally {
    base.close();
    if (isFull) source.close();
    trained?.tensors.close();
  }
}

/** What is merged into the modules; that of a routed adapter under its frozen route. */
export function mergesOf(request: ExportRequest, trained: AdapterFolder, base: WeightFolder): MergeOf {
  if (!request.route) return (path, own) => readMerge(trained, path, own);
  const updates = frozenUpdates(request, trained, base);
  return (path, own) => {
    const { up, down } = updates.of(path, own);
    return { up, down, magnitude: null };
  };
}

function readMerge({ tensors, keys }: AdapterFolder, path: string, own: AdapterConfig): MergedUpdate {
  const read = (suffix: string) => {
    const key = keys.get(`${path}.${suffix}`) ?? adapterKey(`${path}.${suffix}`);
    return asFloat32(tensors.read(key), tensors.tensors.get(key)!.dtype);
  };
  const scale = updateScale(own);
  return {
    up: read('lora_B.weight').map((value) => scale * value),
    down: read('lora_A.weight'),
    magnitude: keys.has(`${path}.lora_magnitude_vector`) ? read('lora_magnitude_vector') : null,
  };
}

/** The bytes of a weight in a type, with the update in it, block by block. */
function* blocks(
  source: WeightFolder,
  merger: RowMerger,
  { name, dtype, update }: Pick<MergedWeight, 'name' | 'dtype' | 'update'>,
): Generator<Uint8Array> {
  const { dtype: stored, shape, byteLength } = source.info(name)!;
  const rows = shape[0] ?? 1;
  const rowBytes = byteLength / rows;
  const step = Math.max(1, Math.floor(blockBytes / rowBytes));
  const columns = shape.slice(1).reduce((product, size) => product * size, 1);
  const isCopied = update === null && dtype === stored;
  if (!isCopied) merger.load({ name, stored, dtype, columns, update });
  for (let row = 0; row < rows; row += step) {
    const bytes = source.readRange(name, row * rowBytes, Math.min(rows, row + step) * rowBytes);
    yield isCopied ? bytes : merger.merge(bytes, row);
  }
}
