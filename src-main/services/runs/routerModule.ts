import { modulePath } from '../../shape/adapterSites.ts';
import type { RouterLayout, RouterModule } from '../../contract/runRecords.ts';
import type { AdapterConfig } from '../../contract/training.ts';
import { checkpointStep, trainedFolder } from '../../formats/checkpoint/checkpointFolder.ts';
import { adapterKey, openAdapterFolder } from '../../formats/adapter/peftAdapter.ts';
import type { ReadTrained } from '../../methods/method.ts';
import { methodOf } from '../../methods/registry.ts';

/**
 * What a checkpoint says of the experts of one module: the rows of W that each reads, and how alike the experts are,
 * as the method declares both (methods/method.ts, `Routing`).
 * @returns null where the method has no experts or the module is not adapted
 */
export function describeRouterModule(
  checkpoint: string,
  adapter: AdapterConfig,
  site: RouterLayout['sites'][number],
): RouterModule | null {
  const routing = methodOf(adapter)?.routing;
  if (!routing) return null;
  const { tensors: file } = openAdapterFolder(trainedFolder(checkpoint, adapter.method));
  try {
    const path = modulePath(site);
    if (![...file.tensors.keys()].some((key) => key.startsWith(adapterKey(`${path}.`)))) return null;
    const read: ReadTrained = (suffix) => {
      const key = adapterKey(`${path}.${suffix}`);
      // A checkpoint keeps numbers as f32 and indices as i32.
      const values = () => Uint8Array.from(file.read(key)).buffer;
      return {
        shape: file.tensors.get(key)!.shape,
        floats: () => new Float32Array(values()),
        integers: () => new Int32Array(values()),
      };
    };
    const compared = routing.compared(adapter, read);
    return {
      step: checkpointStep(checkpoint),
      pivots: routing.pivots?.(adapter, read) ?? null,
      overlap: compared && cosines(compared),
    };
  } finally {
    file.close();
  }
}

/** <a, b> / (|a| |b|) of every two; 0 where one of them is zero. */
function cosines(vectors: readonly Float32Array[]): number[][] {
  const dot = (a: Float32Array, b: Float32Array) => a.reduce((total, value, i) => total + value * b[i]!, 0);
  const norms = vectors.map((vector) => Math.sqrt(dot(vector, vector)));
  return vectors.map((a, i) =>
    vectors.map((b, j) => (norms[i]! * norms[j]! === 0 ? 0 : dot(a, b) / (norms[i]! * norms[j]!))),
  );
}
