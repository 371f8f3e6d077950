import { createHash } from 'node:crypto';
import { createReadStream, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { ExportFormat, ExportRecord, Run } from '../../contract/entities.ts';
import { StudioError } from '../../contract/errors.ts';
import type { ProcedureHandlers } from '../../contract/procedures.ts';
import { createRandom } from '../../statistics/random.ts';
import { trainedFolder } from '../../formats/checkpoint/checkpointFolder.ts';
import type { ModelReference } from '../../engine/protocol.ts';
import { SafetensorsFile } from '../../formats/files/safetensors.ts';
import { insertExport, listExports } from '../../store/results.ts';
import { newId, type ServiceContext } from '../context.ts';
import type { ModelService } from '../models/models.ts';
import type { RunService } from '../runs/runs.ts';

export interface ExportService {
  list(): ExportRecord[];
  /**
   * Writes a folder with what the run trained and checks that it computes what the run computes.
   * @throws StudioError no_checkpoint; config_invalid for a format that the run's method has not
   */
  create(
    options: { run: string; format?: ExportFormat | undefined; folder: string },
    signal: AbortSignal,
  ): Promise<ExportRecord>;
}

const certificateTokens = 64;

/** Largest logit difference at which exported files count as equal: the same numbers through the same graph. */
const exactTolerance = 1e-5;

/**
 * Share of the greatest logit by which rounding every weight may move a logit: 8 units in the last place of the type
 * (2^-8 for bf16, 2^-11 for f16). Each of some ten products in a row adds a random error of about one such unit; a
 * weight at a wrong place, on the other hand, moves logits by as much as they are large.
 */
const roundingTolerances: Readonly<Record<string, number>> = { BF16: 8 * 2 ** -8, F16: 8 * 2 ** -11 };

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
      const checkpoint = runs.requireCheckpoint(run);
      const { adapter, loadIn8bit } = run.config;
      const { method } = adapter;
      const format = formatOf(run, options.format);
      const model = models.get(run.modelId);
      const folder = resolve(options.folder);
      const { files, dtype } = await context.engine.start(
        {
          kind: 'export',
          format,
          modelFolder: model.folder,
          checkpoint,
          method,
          loadIn8bit,
          outFolder: folder,
        },
        { signal },
      ).result;

      const random = createRandom(1);
      const count = Math.min(certificateTokens, model.contextLength);
      const ids = Array.from({ length: count }, () => random.integer(model.vocabularySize));
      const reference = (place: string): ModelReference =>
        format === 'merged'
          ? { folder: place, precision: 'f32', adapterFolder: null }
          : { folder: model.folder, precision: 'f32', adapterFolder: place };
      const trained = await logits(reference(trainedFolder(checkpoint, method)), ids, signal);
      const exported = await logits(reference(folder), ids, signal);
      let [maxLogitDifference, greatest] = [0, 0];
      trained.forEach((value, i) => {
        const difference = Math.abs(value - exported[i]!);
        // Not Math.max: a NaN must not look like equality.
        if (!(difference <= maxLogitDifference)) maxLogitDifference = difference;
        greatest = Math.max(greatest, Math.abs(value));
      });
      const rounding = roundingTolerances[dtype];
      const tolerance = rounding === undefined ? exactTolerance : rounding * greatest;
      const record: ExportRecord = {
        id: newId(),
        runId: run.id,
        format,
        folder,
        files: await Promise.all(files.map((name) => describeFile(folder, name))),
        certificate: {
          equal: maxLogitDifference <= tolerance,
          maxLogitDifference: Number.isFinite(maxLogitDifference) ? maxLogitDifference : Number.MAX_VALUE,
          tolerance,
          tokens: count,
          dtype,
        },
        createdAt: new Date().toISOString(),
      };
      insertExport(context.writable(), record);
      return record;
    },
  };
}

/** The format asked for, or the one that fits the run's method. @throws StudioError config_invalid */
function formatOf(run: Run, asked: ExportFormat | undefined): ExportFormat {
  const isFull = run.config.adapter.method === 'full';
  if (isFull && asked === 'peft')
    throw new StudioError(
      'config_invalid',
      `The run "${run.name}" trained every parameter of the model: there is no adapter to export.`,
      'Export the whole model with the format merged.',
    );
  if (!isFull && asked === 'merged')
    throw new StudioError(
      'config_invalid',
      `The run "${run.name}" trained an adapter (${run.config.adapter.method}), and only full fine-tuning can be exported as a merged model.`,
      'Export the adapter with the format peft.',
    );
  return isFull ? 'merged' : 'peft';
}

/** Read as a stream: weights may be larger than memory. */
async function describeFile(folder: string, name: string): Promise<ExportRecord['files'][number]> {
  const path = join(folder, name);
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return { name, sizeBytes: statSync(path).size, sha256: hash.digest('hex') };
}

/** What callers ask of them. */
export const exportHandlers = (exports: ExportService) =>
  ({
    'exports.list': () => exports.list(),
    'exports.create': (input, { signal }) => exports.create(input, signal),
  }) satisfies Partial<ProcedureHandlers>;
