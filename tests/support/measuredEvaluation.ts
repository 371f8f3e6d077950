import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { PlannedEvaluation } from '../../src-main/budget/forecast/evaluation.ts';
import { evaluationBatch } from '../../src-main/budget/forecast/evaluation.ts';
import { createRandom } from '../../src-main/statistics/random.ts';
import { createEngineHost, type EngineHost } from '../../src-main/engine/process/supervisor.ts';
import type { ModelReference } from '../../src-main/engine/protocol.ts';
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

/**
 * Times greedy answers, as long as asked. A round is `batch` prompts and their answers; one more before them warms up.
 * All ids are ones that every tokenizer has.
 */
export async function timeAnswers(
  host: EngineHost,
  asked: {
    model: ModelReference;
    batch: number;
    promptTokens: number;
    newTokens: number;
    rounds: number;
    signal?: AbortSignal;
  },
): Promise<{ loadSeconds: number; secondsPerRound: number; tokensPerSecond: number }> {
  const { model, batch, promptTokens, newTokens, rounds, signal } = asked;
  const random = createRandom(3);
  const idsOf = () => Array.from({ length: promptTokens }, () => 3 + random.integer(497));
  const ends: number[] = [];
  const started = performance.now();
  let loaded = 0;
  await host.start(
    {
      kind: 'generate',
      model,
      prompts: Array.from({ length: batch * (1 + rounds) }, idsOf),
      maxTokens: newTokens,
      temperature: 0,
      topP: 1,
      seed: 0,
      stop: [],
      // No id ends an answer.
      endIds: [2 ** 30],
      batch,
    },
    {
      ...(signal && { signal }),
      onEvent(event) {
        if (event.type === 'progress' && event.label === 'Loading weights') loaded = performance.now();
        if (event.type === 'generated')
          for (const { row } of event.rows) {
            if (row.ids.length !== newTokens) throw new Error(`an answer has ${row.ids.length} tokens`);
            ends.push(performance.now());
          }
      },
    },
  ).result;
  const roundEnds = Array.from({ length: 1 + rounds }, (_, round) => ends[(round + 1) * batch - 1]!);
  const seconds = roundEnds.slice(1).map((end, i) => (end - roundEnds[i]!) / 1000);
  const median = seconds.sort((a, b) => a - b)[Math.floor(seconds.length / 2)]!;
  return {
    loadSeconds: (loaded - started) / 1000,
    secondsPerRound: median,
    tokensPerSecond: (batch * newTokens) / median,
  };
}
