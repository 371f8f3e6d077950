import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { EngineEvent } from '../../engine/messages.ts';
import type { ModelReference } from '../../engine/protocol.ts';
import { SafetensorsFile } from '../../formats/files/safetensors.ts';
import { greater } from '../../statistics/greatest.ts';
import type { ServiceContext } from '../context.ts';
import type { ReportPart } from '../progress.ts';

/** Logits of the next token at each of some tokens, by the engine, [tokens * vocabulary]. */
export async function engineLogits(
  context: ServiceContext,
  { model, ids, part }: { model: ModelReference; ids: readonly number[]; part: string },
  { signal, report }: { signal: AbortSignal; report: ReportPart },
): Promise<Float32Array> {
  const folder = mkdtempSync(join(tmpdir(), 'id-lora-certificate-'));
  report(part);
  try {
    const outFile = join(folder, 'logits.safetensors');
    const onEvent = (event: EngineEvent) => {
      if (event.type === 'progress') report(part, event.done, event.total);
    };
    await context.engine.start({ kind: 'logits', model, ids, outFile }, { signal, onEvent }).result;
    const file = new SafetensorsFile(outFile, 'internal');
    try {
      return new Float32Array(file.read('logits').buffer);
    } finally {
      file.close();
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** NaN or infinity where a logit is none. */
export function greatestDifference(one: Float32Array, other: Float32Array): number {
  if (one.length !== other.length) return Infinity;
  let greatest = 0;
  one.forEach((value, i) => {
    greatest = greater(greatest, Math.abs(value - other[i]!));
  });
  return greatest;
}

export function greatestSize(logits: Float32Array): number {
  return logits.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
}

/** JSON has no number that is none. */
export function written(difference: number): number {
  return Number.isFinite(difference) ? difference : Number.MAX_VALUE;
}
