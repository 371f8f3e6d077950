import { toPlainError, type PlainError } from '../../src-main/contract/errors.ts';
import type { ProcedureInput } from '../../src-main/contract/procedures.ts';
import type { Studio } from '../state/studio.svelte.ts';

/** The probe that is under way or came last: it goes on when the page is left. */
export const probeJob = $state<{ isBusy: boolean; error: PlainError | null; done: number }>({
  isBusy: false,
  error: null,
  /** Counts probes that have ended: what was measured is then read anew. */
  done: 0,
});

let controller = new AbortController();

export async function startProbe(studio: Studio, input: ProcedureInput<'plan.probe'>): Promise<void> {
  if (probeJob.isBusy) return;
  controller = new AbortController();
  Object.assign(probeJob, { isBusy: true, error: null });
  try {
    await studio.client.call('plan.probe', input, { signal: controller.signal });
  } catch (thrown) {
    const error = toPlainError(thrown);
    if (error.code !== 'cancelled') probeJob.error = error;
  } finally {
    probeJob.isBusy = false;
    probeJob.done++;
    studio.progress.delete('probe');
  }
}

export function cancelProbe(): void {
  controller.abort();
}
