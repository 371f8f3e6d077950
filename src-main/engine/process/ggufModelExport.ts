import type { AdapterConfig } from '../../contract/training.ts';
import { linkSync, mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { openAdapterFolder } from '../../formats/adapter/peftAdapter.ts';
import { trainedFolder } from '../../formats/checkpoint/checkpointFolder.ts';
import { readDecoderConfig } from '../../formats/families/huggingFaceConfig.ts';
import { writeNewFolder } from '../../formats/files/atomicFile.ts';
import { generalEntries } from '../../formats/gguf/generalEntries.ts';
import { layOutModel } from '../../formats/gguf/layOutModel.ts';
import { storedType, writeGgufModel, type WeightToWrite } from '../../formats/gguf/modelFile.ts';
import { findContradictions } from '../../formats/model/contradictions.ts';
import { expectedWeights } from '../../formats/model/decoderWeights.ts';
import { ggufWeightName, WeightFolder } from '../../formats/model/weightFolder.ts';
import { adapterSites, modulePath, type AdapterSite } from '../../shape/adapterSites.ts';
import type { EngineEvent } from '../messages.ts';
import type { ExportRequest, ExportResult } from '../protocol.ts';
import { checkMerged, type MergedUpdate, type MergeOf } from './mergedCheck.ts';
import { mergesOf } from './mergedExport.ts';
import { RowMerger } from './rowMerger.ts';

/**
 * A whole model as llama.cpp reads it: what was trained in full, an adapter merged into its base, or a routed one with
 * its route frozen. Row by row, computed in f32 and rounded once to the type of the file.
 */
export function exportGgufModel(request: ExportRequest, emit: (event: EngineEvent) => void): ExportResult {
  const config = readDecoderConfig(request.modelFolder);
  const isFull = request.adapter.method === 'full';
  const weights = new WeightFolder(isFull ? trainedFolder(request.checkpoint, 'full') : request.modelFolder);
  const merges = isFull ? null : openMerges(request, weights);
  const type = request.storedAs ?? 'F16';
  try {
    const names = [...expectedWeights(config).keys()];
    let done = 0;
    const merger = new RowMerger();
    let loaded: string | null = null;
    const rowsOf = (name: string): WeightToWrite => {
      const { shape, dtype: stored, byteLength } = weights.info(name)!;
      const [rows, columns] = [shape[0]!, shape[1] ?? 1];
      return {
        name,
        shape,
        rows(begin, end) {
          if (loaded !== name) {
            merger.load({ name, stored, dtype: 'F32', columns, update: merges?.of(name) ?? null });
            loaded = name;
          }
          const bytes = weights.readRange(name, (begin * byteLength) / rows, (end * byteLength) / rows);
          const merged = merger.merge(bytes, begin);
          return new Float32Array(merged.buffer, merged.byteOffset, merged.byteLength / 4);
        },
      };
    };
    const { notes } = writeNewFolder(request.outFolder, (folder) => ({
      notes: writeGgufModel(join(folder, ggufWeightName), {
        config,
        folder: request.modelFolder,
        weights: names.map(rowsOf),
        type,
        chatTemplate: request.chatTemplate ?? null,
        general: generalEntries(request.title!, request.baseName),
        written: () =>
          emit({ type: 'progress', label: 'Writing the files', done: ++done, total: names.length }),
      }),
    }));
    layBack(join(request.outFolder, ggufWeightName), request.readBack!);
    return {
      files: [ggufWeightName],
      dtype: type,
      peft: null,
      merged:
        merges &&
        checkMerged(request.readBack!, {
          ...merges,
          base: weights,
          typeOf: (name) => storedType({ name, shape: weights.info(name)!.shape }, type, config),
        }),
      cutModules: null,
      contradictions: findContradictions(request.modelFolder),
      ...(notes.length > 0 && { notes }),
    };
  } finally {
    weights.close();
    merges?.close();
  }
}

/** The file as a model folder that the studio reads. */
function layBack(path: string, folder: string): void {
  mkdirSync(folder, { recursive: true });
  layOutModel(path, folder);
  const place = join(folder, ggufWeightName);
  try {
    symlinkSync(path, place);
  } catch {
    // Windows keeps links of this kind from most users.
    linkSync(path, place);
  }
}

interface Merges {
  sites: AdapterSite<AdapterConfig>[];
  mergeOf: MergeOf;
  /** What is added to a weight; null: nothing. */
  of(name: string): MergedUpdate | null;
  close(): void;
}

function openMerges(request: ExportRequest, base: WeightFolder): Merges {
  const { adapter } = request;
  const trained = openAdapterFolder(trainedFolder(request.checkpoint, adapter.method));
  const mergeOf = mergesOf(request, trained, base);
  const sites = adapterSites(readDecoderConfig(request.modelFolder), adapter);
  const readers = new Map(
    sites.map(({ site, adapter: own }) => {
      const path = modulePath(site);
      return [`${path}.weight`, () => mergeOf(path, own)];
    }),
  );
  return {
    sites,
    mergeOf,
    of: (name) => readers.get(name)?.() ?? null,
    close: () => trained.tensors.close(),
  };
}
