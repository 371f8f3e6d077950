import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { PlannedEvaluation } from '../../src-main/budget/forecast/evaluation.ts';
import { evaluationBatch } from '../../src-main/budget/forecast/evaluation.ts';
import { createRandom } from '../../src-main/statistics/random.ts';
import { createEngineHost } from '../../src-main/engine/process/supervisor.ts';
import { writeTokenFile } from '../../src-main/formats/files/tokenFile.ts';
import { fixtures } from './paths.ts';

/** Gives a random model a tokenizer, which decoding needs; its texts mean nothing. */
export function addTokenizer(folder: string): void {
  for (const name of ['tokenizer.json', 'tokenizer_config.json'])
    copyFileSync(join(fixtures, 'tiny-llama', name), join(folder, name));
}

/** Scores or decodes with the base model in an engine of its own, on rows that are as long as planned, and measures. */
export async function measureEvaluation(
  modelFolder: string,
  planned: PlannedEvaluation,
): Promise<{ peakMemoryBytes: number; seconds: number }> {
  const folder = mkdtempSync(join(tmpdir(), 'id-lora-measured-'));
  const host = createEngineHost();
  const random = createRandom(5);
  const row = () =>
    Int32Array.from(
      { length: planned.rowTokens },
      () => 3 + random.integer(planned.shape.vocabularySize - 3),
    );
  const model = { folder: modelFolder, precision: planned.precision, adapterFolder: null };
  const begin = performance.now();
  try {
    if (planned.benchmark === 'perplexity') {
      const tokenFile = join(folder, 'rows');
      writeTokenFile(
        tokenFile,
        Array.from({ length: planned.items }, () => ({
          ids: row(),
          trained: new Uint8Array(planned.rowTokens).fill(1),
        })),
      );
      const { peakMemoryBytes } = await host.start({
        kind: 'score',
        model,
        tokenFile,
        batch: evaluationBatch,
      }).result;
      return { peakMemoryBytes, seconds: (performance.now() - begin) / 1000 };
    }
    const { peakMemoryBytes } = await host.start({
      kind: 'generate',
      model,
      prompts: Array.from({ length: planned.items }, () => [...row()]),
      maxTokens: planned.maxTokens,
      temperature: 0,
      topP: 1,
      seed: 0,
      stop: [],
      batch: evaluationBatch,
      // No id ends a row: every answer is as long as allowed.
      endIds: [planned.shape.vocabularySize + 1],
    }).result;
    return { peakMemoryBytes, seconds: (performance.now() - begin) / 1000 };
  } finally {
    host.close();
    rmSync(folder, { recursive: true, force: true });
  }
}
