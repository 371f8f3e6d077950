import type { Curves } from '../../../../src-main/contract/runRecords.ts';
import type { StudioClient } from '../../../rpc/client.ts';

const stepsAtATime = 10_000;

/**
 * All recorded steps of a run as CSV, fetched in pieces: the page itself holds only what it draws.
 * @param lastStep the last one to be fetched
 * @throws StudioError
 */
export async function curvesCsv(client: StudioClient, runId: string, lastStep: number): Promise<Blob> {
  const pieces = ['step,loss,held_out_loss,lr,grad_norm,tokens_per_second,memory_bytes\n'];
  for (let from = 0; from <= lastStep; from += stepsAtATime) {
    const to = Math.min(lastStep, from + stepsAtATime - 1);
    pieces.push(csvLines(await client.call('runs.curves', { run: runId, from, to })));
  }
  return new Blob(pieces, { type: 'text/csv' });
}

/** A skipped step may have been evaluated, too: it has a line with the held-out loss alone. */
function csvLines({ steps, evals }: Pick<Curves, 'steps' | 'evals'>): string {
  const heldOut = new Map(evals.map((metric) => [metric.step, metric.loss]));
  const lines = steps.map((metric) => {
    const { step, loss, lr, gradNorm, tokensPerSecond, memoryBytes } = metric;
    const line = [step, loss, heldOut.get(step) ?? '', lr, gradNorm, tokensPerSecond, memoryBytes ?? ''];
    heldOut.delete(step);
    return { step, line };
  });
  for (const [step, loss] of heldOut) lines.push({ step, line: [step, '', loss, '', '', '', ''] });
  return lines
    .sort((a, b) => a.step - b.step)
    .map(({ line }) => `${line.join(',')}\n`)
    .join('');
}
