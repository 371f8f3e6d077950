import type { Calibration } from '../../contract/forecast.ts';
import type { ProbeResult } from '../../engine/protocol.ts';
import type { EngineHost } from '../../engine/process/supervisor.ts';
import { readLoad } from './machine.ts';

/** Asks once what the engine is; again only where that failed. */
export function createProbe(engine: EngineHost): () => Promise<ProbeResult> {
  let probed: Promise<ProbeResult> | null = null;
  return () =>
    (probed ??= engine.start({ kind: 'probe' }).result.catch((error: unknown) => {
      probed = null;
      throw error;
    }));
}

/** The GPU on which an engine computes; null: it computes on the processor. */
export async function gpuOf({ devices }: Pick<ProbeResult, 'devices'>): Promise<Calibration['gpu']> {
  if (!devices.includes('gpu')) return null;
  const { gpu } = await readLoad();
  return gpu && { name: gpu.name, memoryBytes: gpu.memoryBytes };
}

/** The same before any engine was asked: only a machine that has a GPU starts one for that, which takes seconds. */
export async function findTrainingGpu(probe: () => Promise<ProbeResult>): Promise<Calibration['gpu']> {
  if ((await readLoad()).gpu === null) return null;
  // An engine that cannot start forecasts nothing: the doctor says so.
  return probe().then(gpuOf, () => null);
}
