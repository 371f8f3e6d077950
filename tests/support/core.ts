import { join } from 'node:path';
import { afterAll } from 'vitest';
import { createCore, type Core } from '../../src-main/core/createCore.ts';
import { createEngineHost, type EngineHost } from '../../src-main/engine/process/supervisor.ts';
import { writeGeneratedDataset } from '../fixtures/generatedDataset.ts';
import { temporaryFolder } from './temporaryFolder.ts';
import { fixtures } from './paths.ts';

/** Its processes take job after job: each that loads TensorFlow takes seconds of a processor for that. */
const host = createEngineHost({ keeps: () => true });
afterAll(() => host.close());

/**
 * An engine for one core among those of a file, which share its processes. What computes is the engine as it is; that
 * each job of the studio has a process of its own concerns tests of crashes and of memory, which need createEngineHost.
 */
export function sharedEngine(): EngineHost {
  const closing = new AbortController();
  return {
    start: (request, options = {}) =>
      host.start(request, {
        ...options,
        signal: AbortSignal.any([closing.signal, ...(options.signal ? [options.signal] : [])]),
      }),
    nextCard: () => null,
    jobsOn: () => [],
    close: () => closing.abort(),
  };
}

/** A core on a data folder that is there. */
export function openCoreOn(home: string, engine: EngineHost = sharedEngine()): Core {
  return createCore({ home, project: 'default', mode: 'write', engine });
}

/** A core on a fresh data folder, and a small GSM8K-like file. */
export function openTestCore(engine?: EngineHost): { core: Core; home: string; dataFile: string } {
  const home = temporaryFolder();
  const dataFile = join(home, 'sums.jsonl');
  writeGeneratedDataset(dataFile, 60, 1);
  return { core: openCoreOn(home, engine), home, dataFile };
}

export const neverAborted = new AbortController().signal;

/** The same with tiny-llama as `tiny` and the file as `sums` in its library. */
export async function openTrainingCore(engine?: EngineHost): Promise<ReturnType<typeof openTestCore>> {
  const opened = openTestCore(engine);
  await opened.core.models.add({ folder: join(fixtures, 'tiny-llama'), name: 'tiny', copy: false });
  await opened.core.datasets.add({ path: opened.dataFile, name: 'sums', format: 'auto' });
  return opened;
}
