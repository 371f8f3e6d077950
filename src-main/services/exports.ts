import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { ExportRecord } from '../contract/entities.ts';
import { StudioError } from '../contract/errors.ts';
import { createRandom } from '../data/random.ts';
import type { ModelReference } from '../engine/process/protocol.ts';
import { SafetensorsFile } from '../formats/safetensors.ts';
import { insertExport, listExports } from '../store/results.ts';
import { newId, type ServiceContext } from './context.ts';
import type { ModelService } from './models.ts';
import type { RunService } from './runs.ts';

export interface ExportService {
  list(): ExportRecord[];
  /** Writes a PEFT folder and checks that it computes what the run computes. */
  create(options: { run: string; folder: string }, signal: AbortSignal): Promise<ExportRecord>;
}

/** Largest logit difference at which exported files count as equal: the same numbers through the same graph. */
const tolerance = 1e-5;
const certificateTokens = 64;

export function createExportService(
  context: ServiceContext,
  models: ModelService,
  runs: RunService,
): ExportService {
  async function logits(
    model: ModelReference,
    ids: readonly number[],
    signal: AbortSignal,
  ): Promise<Float32Array> {
    const folder = mkdtempSync(join(tmpdir(), 'id-lora-certificate-'));
    try {
      const outFile = join(folder, 'logits.safetensors');
      await context.engine.start({ kind: 'logits', model, ids, outFile }, { signal }).result;
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

  return {
    list: () => listExports(context.database),
    async create(options, signal) {
      const run = runs.get(options.run);
      const checkpoint = runs.checkpoint(run);
      if (!checkpoint)
        throw new StudioError(
          'config_invalid',
          `The run "${run.name}" has no checkpoint yet (it is ${run.state}).`,
          'Train it to the end, or stop it with a checkpoint.',
        );
      const model = models.get(run.modelId);
      const folder = resolve(options.folder);
      const { files } = await context.engine.start(
        { kind: 'export', modelFolder: model.folder, checkpoint, outFolder: folder },
        { signal },
      ).result;

      const random = createRandom(1);
      const count = Math.min(certificateTokens, model.contextLength);
      const ids = Array.from({ length: count }, () => random.integer(model.vocabularySize));
      const reference = (adapterFolder: string): ModelReference => ({
        folder: model.folder,
        precision: 'f32',
        adapterFolder,
      });
      const trained = await logits(reference(join(checkpoint, 'adapter')), ids, signal);
      const exported = await logits(reference(folder), ids, signal);
      let maxLogitDifference = 0;
      trained.forEach((value, i) => {
        const difference = Math.abs(value - exported[i]!);
        // Not Math.max: a NaN must not look like equality.
        if (!(difference <= maxLogitDifference)) maxLogitDifference = difference;
      });
      const record: ExportRecord = {
        id: newId(),
        runId: run.id,
        format: 'peft',
        folder,
        files: files.map((name) => {
          const path = join(folder, name);
          return {
            name,
            sizeBytes: statSync(path).size,
            sha256: createHash('sha256').update(readFileSync(path)).digest('hex'),
          };
        }),
        certificate: {
          equal: maxLogitDifference <= tolerance,
          maxLogitDifference: Number.isFinite(maxLogitDifference) ? maxLogitDifference : Number.MAX_VALUE,
          tolerance,
          tokens: count,
        },
        createdAt: new Date().toISOString(),
      };
      insertExport(context.writable(), record);
      return record;
    },
  };
}
