import { join } from 'node:path';
import type { AdapterConfig } from '../../contract/training.ts';
import { adapterKey, openAdapterFolder, type AdapterFolder } from '../../formats/adapter/peftAdapter.ts';
import { trainedFolder } from '../../formats/checkpoint/checkpointFolder.ts';
import { readDecoderConfig } from '../../formats/families/huggingFaceConfig.ts';
import { writeNewFolder } from '../../formats/files/atomicFile.ts';
import { asFloat32 } from '../../formats/files/floats.ts';
import { readGgufAdapter, writeGgufAdapter } from '../../formats/gguf/adapterFile.ts';
import { ggufArchitecture } from '../../formats/gguf/architecture.ts';
import { generalEntries } from '../../formats/gguf/generalEntries.ts';
import { floatRows, writeGgufModel } from '../../formats/gguf/modelFile.ts';
import { findContradictions } from '../../formats/model/contradictions.ts';
import { expectedWeights } from '../../formats/model/decoderWeights.ts';
import { WeightFolder } from '../../formats/model/weightFolder.ts';
import { updateScale, type LowRank } from '../../methods/method.ts';
import { adapterSites, modulePath } from '../../shape/adapterSites.ts';
import type { EngineEvent } from '../messages.ts';
import type { ExportRequest, ExportResult } from '../protocol.ts';
import { frozenUpdates } from './frozenUpdates.ts';
import { checkAsPeft } from './peftCheck.ts';

const fileName = 'adapter.gguf';

/** B may hold a scale, rounded to f32 once more. */
const updateTolerance = 1e-6;

/**
 * A LoRA as llama.cpp reads it, in a folder of its own: the adapter itself, or a routed one with its route frozen. What
 * the file adds to the base is read back from it and compared with what was trained.
 */
export function exportGgufAdapter(request: ExportRequest, emit: (event: EngineEvent) => void): ExportResult {
  const { adapter, modelFolder } = request;
  const trained = openAdapterFolder(trainedFolder(request.checkpoint, adapter.method));
  const base = new WeightFolder(modelFolder);
  try {
    const config = readDecoderConfig(modelFolder);
    const { notes } = ggufArchitecture(config);
    const sites = adapterSites(config, adapter);
    const frozen = request.route ? frozenUpdates(request, trained, base) : null;
    const update = (path: string, own: AdapterConfig): LowRank =>
      frozen ? frozen.of(path, own) : storedUpdate(trained, path, own);
    // The scale of a frozen route lies in B.
    const scaleOf = (own: AdapterConfig) => (frozen ? 1 : updateScale(own));
    let done = 0;
    const modules = sites.map(({ site, adapter: own }) => {
      const path = modulePath(site);
      const { rank } = update(path, own);
      const read = () => {
        emit({ type: 'progress', label: 'Writing the files', done: ++done, total: sites.length });
        return update(path, own);
      };
      return { site, rank, scale: scaleOf(own), read };
    });
    const files = writeNewFolder(request.outFolder, (folder) => {
      const general = generalEntries(request.title!, request.baseName);
      writeGgufAdapter(join(folder, fileName), { config, sites: modules, general });
      return [fileName];
    });
    readGgufAdapter(join(request.outFolder, fileName), config, request.readBack!);
    if (request.baseFile !== undefined) writeBase(request.baseFile, base, request);
    const check = checkAsPeft(
      request.readBack!,
      sites,
      (path, own) => {
        const { down, up, rank } = update(path, own);
        return { rank, a: down, b: up, scale: scaleOf(own), magnitude: null, weight: () => [] };
      },
      updateTolerance,
    );
    return {
      files,
      dtype: 'F32',
      peft: { ...check, rules: 'llama.cpp' },
      merged: null,
      cutModules: frozen?.cutModules() ?? null,
      contradictions: findContradictions(modelFolder),
      ...(notes.length > 0 && { notes }),
    };
  } finally {
    base.close();
    trained.tensors.close();
  }
}

/** The base as it is, in F32. */
function writeBase(
  path: string,
  base: WeightFolder,
  { modelFolder, baseName, chatTemplate }: ExportRequest,
): void {
  const config = readDecoderConfig(modelFolder);
  const weights = [...expectedWeights(config).keys()].map((name) => {
    const info = base.info(name)!;
    const rows = floatRows((begin, end) => base.readRange(name, begin, end), info);
    return { name, shape: info.shape, rows };
  });
  writeGgufModel(path, {
    config,
    folder: modelFolder,
    weights,
    type: 'F32',
    chatTemplate: chatTemplate ?? null,
    general: [{ key: 'general.name', type: 'string', value: baseName }],
    written: () => undefined,
  });
}

function storedUpdate({ tensors, keys }: AdapterFolder, path: string, { rank }: AdapterConfig): LowRank {
  const read = (suffix: string) => {
    const key = keys.get(`${path}.${suffix}`) ?? adapterKey(`${path}.${suffix}`);
    return asFloat32(tensors.read(key), tensors.tensors.get(key)!.dtype);
  };
  return { down: read('lora_A.weight'), up: read('lora_B.weight'), rank };
}
