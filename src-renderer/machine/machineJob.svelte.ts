import { toPlainError, type PlainError } from '../../src-main/contract/errors.ts';
import type { Studio } from '../state/studio.svelte.ts';
import { confirmDone } from '../state/toasts.svelte.ts';

/** Looking at the machine and repairing it, kept apart from pages so that it goes on when they are left. */
export const machineJob = $state<{ work: 'check' | 'repair' | null; error: PlainError | null }>({
  work: null,
  error: null,
});

let controller = new AbortController();

export function checkMachine(studio: Studio): Promise<void> {
  return work('check', () => studio.loadDoctor());
}

/** Provides what is missing; its steps are the progress `repair`. */
export function repairMachine(studio: Studio): Promise<void> {
  controller = new AbortController();
  const { signal } = controller;
  return work('repair', async () => {
    studio.doctor = await studio.client.call('studio.repair', {}, { signal });
    if (studio.doctor.ok) confirmDone('The engine is ready.');
  });
}

export function cancelRepair(): void {
  controller.abort();
}

async function work(kind: 'check' | 'repair', job: () => Promise<void>): Promise<void> {
  if (machineJob.work !== null) return;
  machineJob.work = kind;
  machineJob.error = null;
  try {
    await job();
  } catch (thrown) {
    const error = toPlainError(thrown);
    if (error.code !== 'cancelled') machineJob.error = error;
  } finally {
    machineJob.work = null;
  }
}
