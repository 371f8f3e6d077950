import type { AdapterConfig } from '../../contract/training.ts';
import type { PeftCheck } from '../../contract/results.ts';
import { adapterKey, openAdapterFolder, writeAdapterFolder } from '../../formats/adapter/peftAdapter.ts';
import { trainedFolder } from '../../formats/checkpoint/checkpointFolder.ts';
import { readDecoderConfig } from '../../formats/families/huggingFaceConfig.ts';
import { asFloat32 } from '../../formats/files/floats.ts';
import { findContradictions } from '../../formats/model/contradictions.ts';
import { WeightFolder } from '../../formats/model/weightFolder.ts';
import type { LowRank, ReadTrained } from '../../methods/method.ts';
import { methodOf } from '../../methods/registry.ts';
import { adapterSites, modulePath } from '../../shape/adapterSites.ts';
import { modelTargets } from '../../shape/targets.ts';
import type { EngineEvent } from '../messages.ts';
import type { ExportRequest, ExportResult } from '../protocol.ts';
import { checkAsPeft } from './peftCheck.ts';

/**
 * A routed adapter as a LoRA that PEFT loads: the weights of its experts are those of `request.route` for every token.
 * Its scale lies in B (lora_alpha = r), since ranks may differ from module to module.
 */
export function exportFrozen(request: ExportRequest, emit: (event: EngineEvent) => void): ExportResult {
  const { adapter, modelFolder } = request;
  const trained = openAdapterFolder(trainedFolder(request.checkpoint, adapter.method));
  const base = new WeightFolder(modelFolder);
  try {
    const decoder = readDecoderConfig(modelFolder);
    const sites = adapterSites(decoder, adapter);
    const weights = new Map(request.route?.map((site) => [site.path, site.weights]));
    const lowRankOf = (path: string, own: AdapterConfig): LowRank => {
      const read: ReadTrained = (suffix) => {
        const key = trained.keys.get(`${path}.${suffix}`) ?? adapterKey(`${path}.${suffix}`);
        const bytes = trained.tensors.read(key);
        const { dtype, shape } = trained.tensors.tensors.get(key)!;
        return {
          shape,
          floats: () => asFloat32(bytes, dtype),
          integers: () => new Int32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4),
        };
      };
      const route = weights.get(path);
      if (!route) throw new Error(`the route has no weights for ${path}`);
      return methodOf(own)!.routing!.asLora!(own, read, route, (rows) =>
        baseRows(base, `${path}.weight`, rows),
      );
    };
    let last: { path: string; low: LowRank } | null = null;
    // A and B of a module are written one after the other: it is computed once.
    const cached = (path: string, own: AdapterConfig): LowRank => {
      if (last?.path !== path) last = { path, low: lowRankOf(path, own) };
      return last.low;
    };
    let done = 0;
    const tensors = sites.flatMap(({ site, adapter: own }) => {
      const path = modulePath(site);
      const { down, up, rank } = cached(path, own);
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
          data: () => bytesOf(cached(path, own).down),
        },
        {
          name: `${path}.lora_B.weight`,
          dtype: 'F32' as const,
          shape: [dOut, rank],
          data: () => bytesOf(cached(path, own).up),
        },
      ];
    });
    const first = sites[0]!;
    const factor = cached(modulePath(first.site), first.adapter).rank / first.adapter.rank;
    const config = frozenConfig(adapter, factor);
    const files = writeAdapterFolder(
      request.outFolder,
      { ...config, targets: modelTargets(decoder, adapter.targets) },
      { name: request.baseName, sha256: '', loadIn8bit: request.loadIn8bit },
      tensors,
    );
    const peft: PeftCheck = checkAsPeft(request.outFolder, sites, (path, own) => {
      const { down, up, rank } = cached(path, own);
      return { rank, a: down, b: up, scale: 1, magnitude: null, weight: () => [] };
    });
    return { files, dtype: 'F32', peft, contradictions: findContradictions(modelFolder) };
  } finally {
    base.close();
    trained.tensors.close();
  }
}

/** The options of the LoRA. @param factor rank of the LoRA over that of the adapter */
function frozenConfig(adapter: AdapterConfig, factor: number): AdapterConfig {
  const rank = factor * adapter.rank;
  const rankPattern = Object.fromEntries(
    Object.entries(adapter.rankPattern).map(([key, value]) => [key, factor * value]),
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

/** Rows of a weight in f32, one behind the other. */
function baseRows(weights: WeightFolder, name: string, rows: Int32Array): Float32Array {
  const { dtype, shape, byteLength } = weights.info(name)!;
  const [dOut = 1, dIn = 1] = shape;
  const rowBytes = byteLength / dOut;
  const found = new Float32Array(rows.length * dIn);
  rows.forEach((row, i) => {
    const bytes = weights.readRange(name, row * rowBytes, (row + 1) * rowBytes);
    found.set(asFloat32(bytes, dtype), i * dIn);
  });
  return found;
}
