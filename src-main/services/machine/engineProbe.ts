import type { Calibration } from '../../contract/forecast.ts';
import type { ProbeResult } from '../../engine/protocol.ts';
import type { EngineHost } from '../../engine/process/supervisor.ts';
import type { EngineProbe } from '../context.ts';
import { readLoad } from './machine.ts';

/** @param onAnswer is called when an engine has said what it is */
export function createEngineProbe(engine: EngineHost, onAnswer?: () => void): EngineProbe {
  let known: Promise<ProbeResult> | null = null;
  let devices: readonly string[] = [];
  const askAnew = (onLog?: (line: string) => void) => {
    const asked = engine.start(
      { kind: 'probe', verbose: onLog !== undefined },
      { ...(onLog && { onLog }) },
    ).result;
    known = asked;
    asked.then(
      (found) => {
        devices = found.devices;
        onAnswer?.();
      },
      () => {
        if (known === asked) known = null;
      },
    );
    return asked;
  };
  return {
    ask: () => known ?? askAnew(),
    askAnew,
    card: () => engine.nextCard(),
    usesCards: () => devices.includes('gpu'),
  };
}

/**
 * The GPU on which an engine computes; null: it computes on the processor.
 * @param card that the next job gets
 */
export async function gpuOf(
  { devices }: Pick<ProbeResult, 'devices'>,
  card: string | null,
): Promise<Calibration['gpu']> {
  if (!devices.includes('gpu')) return null;
  const { gpu } = await readLoad(card);
  return gpu && { name: gpu.name, memoryBytes: gpu.memoryBytes, capability: gpu.capability ?? null };
}

/** The same before any engine was asked: only a machine that has a GPU starts one for that, which takes seconds. */
export async function findTrainingGpu(probe: EngineProbe): Promise<Calibration['gpu']> {
  if ((await readLoad()).gpu === null) return null;
  // An engine that cannot start forecasts nothing: the doctor says so.
  return probe.ask().then(
    (found) => gpuOf(found, probe.card()),
    () => null,
  );
}
