import type { Run } from '../../../src-main/contract/entities.ts';
import { toPlainError, type PlainError } from '../../../src-main/contract/errors.ts';
import type { ProcedureInput } from '../../../src-main/contract/procedures.ts';
import type { StudioClient } from '../../rpc/client.ts';

/** The export under way, kept apart from the page so that it goes on when the page is left. */
export const exportJob = $state<{
  /** Name of the run; null: nothing is exported. */
  runName: string | null;
  error: PlainError | null;
  /** Goes up with each export that was made. */
  made: number;
}>({ runName: null, error: null, made: 0 });

let controller = new AbortController();

export async function startExport(
  client: StudioClient,
  runName: string,
  input: ProcedureInput<'exports.create'>,
): Promise<void> {
  if (exportJob.runName !== null) return;
  controller = new AbortController();
  exportJob.runName = runName;
  exportJob.error = null;
  try {
    await client.call('exports.create', input, { signal: controller.signal });
    exportJob.made++;
  } catch (thrown) {
    const error = toPlainError(thrown);
    if (error.code !== 'cancelled') exportJob.error = error;
  } finally {
    exportJob.runName = null;
  }
}

export function cancelExport(): void {
  controller.abort();
}

/** Runs that have something to export: they did a step and do not train at the moment. */
export function isExportable(run: Run): boolean {
  return run.step > 0 && run.state !== 'running' && run.state !== 'queued';
}
