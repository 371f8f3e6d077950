import type { CutModule } from '../../contract/results.ts';
import type { AdapterConfig } from '../../contract/training.ts';
import { adapterKey, type AdapterFolder } from '../../formats/adapter/peftAdapter.ts';
import { asFloat32 } from '../../formats/files/floats.ts';
import type { WeightFolder } from '../../formats/model/weightFolder.ts';
import type { LowRank, ReadTrained } from '../../methods/method.ts';
import { methodOf } from '../../methods/registry.ts';
import { baseRows } from '../adapters/storedRows.ts';
import type { ExportRequest } from '../protocol.ts';
import { cutRank } from './rankCut.ts';

/** The updates of a routed adapter with its route frozen, module by module. */
export interface FrozenUpdates {
  /** The last one that was asked for is kept: A and B of a module are written one after the other. */
  of(path: string, own: AdapterConfig): LowRank;
  /** Rank of a module's update. */
  rankOf(own: AdapterConfig): number;
  /** What the cut to `request.rank` kept of the updates so far that had a higher one; null: none was asked for. */
  cutModules(): CutModule[] | null;
}

/** @param adapter the trained one: it and the base stay open as long as updates are asked for */
export function frozenUpdates(
  request: Pick<ExportRequest, 'route' | 'rank' | 'adapter'>,
  adapter: AdapterFolder,
  base: WeightFolder,
): FrozenUpdates {
  const weights = new Map(request.route?.map((site) => [site.path, site.weights]));
  const most = request.rank ?? Infinity;
  const found = new Map<string, CutModule>();
  const whole = (path: string, own: AdapterConfig): LowRank => {
    const read: ReadTrained = (suffix) => {
      const key = adapter.keys.get(`${path}.${suffix}`) ?? adapterKey(`${path}.${suffix}`);
      const bytes = adapter.tensors.read(key);
      const { dtype, shape } = adapter.tensors.tensors.get(key)!;
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
  /** Ranks are those of the adapter times this. */
  let factor: number | null = null;
  const of = (path: string, own: AdapterConfig): LowRank => {
    if (last?.path === path) return last.low;
    const low = whole(path, own);
    factor ??= low.rank / own.rank;
    if (low.rank <= most) last = { path, low };
    else {
      const { variance, keptVariance, ...cut } = cutRank(low, most);
      found.set(path, { path, variance, kept: variance === 0 ? 1 : keptVariance / variance });
      last = { path, low: cut };
    }
    return last.low;
  };
  return {
    of,
    rankOf: ({ rank }) => Math.min(most, rank * (factor ?? 1)),
    cutModules: () => (request.rank === undefined ? null : [...found.values()]),
  };
}
