import type { ServiceContext } from './context.ts';

/** Between two reports. */
const intervalMs = 250;
/** The pace is that of the last while: a network changes its speed. */
const windowMs = 15_000;

/** Tells listeners that work of which they heard is over, however it ended. */
export function endProgress({ emit }: Pick<ServiceContext, 'emit'>, task: string): void {
  emit({ type: 'progress.ended', task });
}

/** Tells which part of a task is under way, and how much of it is done; the total null where it is not known. */
export type ReportPart = (label: string, done?: number, total?: number | null) => void;

/**
 * Does work of a task, of which listeners are told from its beginning to its end, however it ends.
 * @param label the first part
 */
export async function withProgress<T>(
  context: Pick<ServiceContext, 'emit'>,
  task: string,
  label: string,
  work: (report: ReportPart) => Promise<T>,
): Promise<T> {
  const report: ReportPart = (part, done = 0, total = null) =>
    context.emit({ type: 'progress', task, label: part, done, total });
  report(label);
  try {
    return await work(report);
  } finally {
    endProgress(context, task);
  }
}

/**
 * Tells listeners how far work on bytes is, four times a second and at its end, with the time that is left at the pace
 * of late.
 */
export function byteProgress({ emit }: ServiceContext, task: string, label: string) {
  const samples: { at: number; done: number }[] = [];
  let last = 0;
  return (done: number, total: number): void => {
    const now = Date.now();
    if (done < total && now - last < intervalMs) return;
    last = now;
    samples.push({ at: now, done });
    while (samples.length > 2 && now - samples[0]!.at > windowMs) samples.shift();
    const first = samples[0]!;
    const perMs = (done - first.done) / (now - first.at);
    const secondsLeft =
      done >= total ? 0 : perMs > 0 && Number.isFinite(perMs) ? (total - done) / perMs / 1000 : null;
    emit({ type: 'progress', task, label, done, total, secondsLeft, unit: 'bytes' });
  };
}
