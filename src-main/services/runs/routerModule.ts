import { modulePath } from '../../shape/adapterSites.ts';
import type { RouterLayout, RouterModule } from '../../contract/runRecords.ts';
import type { AdapterConfig } from '../../contract/training.ts';
import { checkpointStep, trainedFolder } from '../../formats/checkpoint/checkpointFolder.ts';
import { adapterKey, openAdapterFolder, type AdapterFolder } from '../../formats/adapter/peftAdapter.ts';

/**
 * What a checkpoint says of the experts of one module: ID-LoRA's pivots, and how alike the experts are.
 *
 * Alike are, by the cosine of the numbers in a row: for HydraLoRA and MoELoRA the up-projections B_i; for ID-LoRA,
 * whose clusters share one B, the rows of the input router (alike rows send the same tokens to both clusters; its pivot
 * router has none).
 * @returns null where the method has no experts or the module is not adapted
 */
export function describeRouterModule(
  checkpoint: string,
  adapter: AdapterConfig,
  site: RouterLayout['sites'][number],
): RouterModule | null {
  const { method } = adapter;
  if (method !== 'idlora' && method !== 'hydralora' && method !== 'moelora') return null;
  const folder = openAdapterFolder(trainedFolder(checkpoint, method));
  try {
    const key = (suffix: string) => adapterKey(`${modulePath(site)}.${suffix}`);
    const step = checkpointStep(checkpoint);
    if (method !== 'idlora') {
      const count = method === 'hydralora' ? adapter.heads : adapter.experts;
      const keys = Array.from({ length: count }, (_, i) => key(`${method}_B.${i}.weight`));
      if (!keys.every((name) => folder.tensors.tensors.has(name))) return null;
      return { step, pivots: null, overlap: cosines(keys.map((name) => floats(folder, name))) };
    }
    const up = folder.tensors.tensors.get(key('idlora_B.weight'));
    if (!up) return null;
    const rows = new Int32Array(Uint8Array.from(folder.tensors.read(key('idlora_pivots'))).buffer);
    const size = rows.length / adapter.clusters;
    const router = adapter.router === 'input' ? floats(folder, key('idlora_router.weight')) : null;
    return {
      step,
      pivots: {
        outputs: up.shape[0]! * adapter.boost,
        clusters: parts(rows, adapter.clusters, size).map((cluster) => [...cluster]),
      },
      overlap: router && cosines(parts(router, adapter.clusters, router.length / adapter.clusters)),
    };
  } finally {
    folder.tensors.close();
  }
}

/** A tensor of a checkpoint, which keeps all of them as f32. */
function floats(folder: AdapterFolder, key: string): Float32Array {
  return new Float32Array(Uint8Array.from(folder.tensors.read(key)).buffer);
}

function parts<A extends Float32Array | Int32Array>(values: A, count: number, size: number): A[] {
  return Array.from({ length: count }, (_, i) => values.subarray(i * size, (i + 1) * size) as A);
}

/** <a, b> / (|a| |b|) of every two; 0 where one of them is zero. */
function cosines(vectors: readonly Float32Array[]): number[][] {
  const dot = (a: Float32Array, b: Float32Array) => a.reduce((total, value, i) => total + value * b[i]!, 0);
  const norms = vectors.map((vector) => Math.sqrt(dot(vector, vector)));
  return vectors.map((a, i) =>
    vectors.map((b, j) => (norms[i]! * norms[j]! === 0 ? 0 : dot(a, b) / (norms[i]! * norms[j]!))),
  );
}
