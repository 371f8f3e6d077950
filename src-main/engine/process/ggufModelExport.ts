import { linkSync, mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { openAdapterFolder } from '../../formats/adapter/peftAdapter.ts';
import { trainedFolder } from '../../formats/checkpoint/checkpointFolder.ts';
import { readDecoderConfig } from '../../formats/families/huggingFaceConfig.ts';
import { writeNewFolder } from '../../formats/files/atomicFile.ts';
import { generalEntries } from '../../formats/gguf/generalEntries.ts';
import { layOutModel } from '../../formats/gguf/layOutModel.ts';
import { floatRows, writeGgufModel, type WeightToWrite } from '../../formats/gguf/modelFile.ts';
import { findContradictions } from '../../formats/model/contradictions.ts';
import { expectedWeights } from '../../formats/model/decoderWeights.ts';
import { ggufWeightName, WeightFolder } from '../../formats/model/weightFolder.ts';
import { adapterSites, modulePath } from '../../shape/adapterSites.ts';
import type { EngineEvent } from '../messages.ts';
import type { ExportRequest, ExportResult } from '../protocol.ts';
import type { MergedUpdate } from './mergedCheck.ts';
import { addUpdate, mergesOf } from './mergedExport.ts';

/**
 * A whole model as llama.cpp reads it: what was trained in full, an adapter merged into its base, or a routed one with
 * its route frozen. Row by row, computed in f32 and rounded once to the type of the file.
 */
export function exportGgufModel(request: ExportRequest, emit: (event: EngineEvent) => void): ExportResult {
  const config = readDecoderConfig(request.modelFolder);
  const isFull = request.adapter.method === 'full';
  const weights = new WeightFolder(isFull ? trainedFolder(request.checkpoint, 'full') : request.modelFolder);
  const merges = isFull ? { of: () => null, close: () => undefined } : openMerges(request, weights);
  const type = request.storedAs ?? 'F16';
  try {
    const names = [...expectedWeights(config).keys()];
    let done = 0;
    const rowsOf = (name: string): WeightToWrite => {
      const info = weights.info(name)!;
      const read = floatRows((begin, end) => weights.readRange(name, begin, end), info);
      return {
        name,
        shape: info.shape,
        rows(begin, end) {
          const merge = merges.of(name);
          if (!merge) return read(begin, end);
          const values = Float32Array.from(read(begin, end));
          addUpdate(values, merge, begin, end - begin);
          return values;
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
      merged: null,
      keptVariance: null,
      contradictions: findContradictions(request.modelFolder),
      ...(notes.length > 0 && { notes }),
    };
  } finally {
    weights.close();
    merges.close();
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
  /** What is added to a weight; null: nothing. The last one is kept. */
  of(name: string): MergedUpdate | null;
  close(): void;
}

function openMerges(request: ExportRequest, base: WeightFolder): Merges {
  const { adapter } = request;
  const trained = openAdapterFolder(trainedFolder(request.checkpoint, adapter.method));
  const mergeOf = mergesOf(request, trained, base);
  const readers = new Map(
    adapterSites(readDecoderConfig(request.modelFolder), adapter).map(({ site, adapter: own }) => {
      const path = modulePath(site);
      return [`${path}.weight`, () => mergeOf(path, own)];
    }),
  );
  let last: { name: string; merge: MergedUpdate } | null = null;
  return {
    of(name) {
      const read = readers.get(name);
      if (!read) return null;
      if (last?.name !== name) last = { name, merge: read() };
      return last.merge;
    },
    close: () => trained.tensors.close(),
  };
}
