import { readdirSync, readFileSync } from 'node:fs';
import { constants, getPriority, setPriority } from 'node:os';
import { join, relative } from 'node:path';
import { trainConfigSchema, type TrainConfigInput } from '../../src-main/contract/training.ts';
import { createRandom } from '../../src-main/statistics/random.ts';
import { asFloat32, asStored } from '../../src-main/formats/files/floats.ts';
import { loadTensorflow } from '../../src-main/engine/runtime/loadTensorflow.ts';
import type { Device } from '../../src-main/engine/graph/graph.ts';
import { train } from '../../src-main/engine/training/trainer.ts';
import type { EngineEvent } from '../../src-main/engine/messages.ts';
import type { TrainResult } from '../../src-main/engine/protocol.ts';
import { readDecoderConfig } from '../../src-main/formats/families/huggingFaceConfig.ts';
import { writeModelFolder } from '../../src-main/formats/model/modelFolder.ts';
import { writeTokenFile, type TokenRow } from '../../src-main/formats/files/tokenFile.ts';
import { WeightFolder } from '../../src-main/formats/model/weightFolder.ts';
import { tinyLlama } from './paths.ts';
import { temporaryFolder } from './temporaryFolder.ts';

/** Rows of random tokens with a masked prompt, of different lengths; row i has task i modulo `tasks` + 1. */
export function writeRandomRows(path: string, rows: number, seed: number, tasks = 0): void {
  const random = createRandom(seed);
  writeTokenFile(
    path,
    Array.from({ length: rows }, (_, row) => {
      const length = 8 + random.integer(20);
      const prompt = 2 + random.integer(4);
      return {
        ids: Int32Array.from({ length }, (_, i) => (i === 0 ? 1 : 3 + random.integer(98))),
        trained: Uint8Array.from({ length }, (_, i) => (i >= prompt ? 1 : 0)),
        task: row % (tasks + 1),
      };
    }),
  );
}

/**
 * Lowers the priority of this process to that of an engine, for tests that compute in it: another file's page or server
 * must answer in time meanwhile, and its engine get its share.
 */
export function computeBehindPages(): void {
  setPriority(Math.max(getPriority(), constants.priority.PRIORITY_BELOW_NORMAL));
}

/** Trains on tiny-llama (or another folder) in this process. */
export async function trainTiny(options: {
  config: TrainConfigInput;
  folder: string;
  resumeFrom?: string | null;
  /** Asks to stop, with a checkpoint, once this step is done. */
  stopAfter?: number;
  /** Asks to stop, with a checkpoint, once an event fits. */
  stopOn?: (event: EngineEvent) => boolean;
  fusion?: boolean;
  /** Builds the graphs that a card gets, which compute on a processor as well. */
  device?: Device;
  /** Rows have tasks 0 to this one. */
  tasks?: number;
  /** Instead of tiny-llama. */
  modelFolder?: string;
  /** Instead of 13 random rows. */
  rows?: readonly TokenRow[];
}): Promise<{ result: TrainResult; events: EngineEvent[] }> {
  computeBehindPages();
  const { config, folder, resumeFrom = null, stopAfter = Infinity, fusion = false, tasks = 0 } = options;
  const { modelFolder = tinyLlama, rows, stopOn = () => false } = options;
  const trainFile = join(folder, 'train.tokens');
  const heldOutFile = join(folder, 'heldout.tokens');
  if (rows) writeTokenFile(trainFile, rows);
  else writeRandomRows(trainFile, 13, 1, tasks);
  writeRandomRows(heldOutFile, 5, 2, tasks);
  const events: EngineEvent[] = [];
  let lastStep = 0;
  let hasFitted = false;
  const result = await train(
    {
      kind: 'train',
      modelFolder,
      trainFile,
      heldOutFile,
      config: trainConfigSchema.parse(config),
      checkpointFolder: join(folder, 'checkpoints'),
      cacheFolder: join(folder, 'cache'),
      resumeFrom,
    },
    readDecoderConfig(modelFolder),
    {
      tf: loadTensorflow().tf,
      fusion,
      device: options.device,
      emit(event) {
        events.push(event);
        hasFitted ||= stopOn(event);
        if (event.type === 'step' || event.type === 'skipped') lastStep = event.step;
      },
      stopRequested: async () => (hasFitted || lastStep >= stopAfter ? { save: true } : null),
    },
  );
  return { result, events };
}

/** Training losses, step by step. */
export function lossesOf(events: readonly EngineEvent[]): number[] {
  return events.flatMap((event) => (event.type === 'step' ? [event.loss] : []));
}

/** What a checkpoint holds, to be compared as a whole. */
export function checkpointFiles(checkpoint: string): Record<string, string> {
  const entries = readdirSync(checkpoint, { recursive: true, withFileTypes: true });
  const paths = entries
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name));
  return Object.fromEntries(
    paths.toSorted().map((path) => [relative(checkpoint, path), readFileSync(path).toString('base64')]),
  );
}

/** A copy of tiny-llama whose weights are stored in 16 bits. */
export function storedInHalf(dtype: 'BF16' | 'F16'): string {
  const folder = join(temporaryFolder(), 'half');
  const weights = new WeightFolder(tinyLlama);
  const tensors = weights.names.map((name) => {
    const { shape, dtype: stored } = weights.info(name)!;
    return { name, dtype, shape, data: asStored(asFloat32(weights.read(name), stored), dtype) };
  });
  writeModelFolder(folder, { base: tinyLlama, tensors, dtype, card: null });
  weights.close();
  return folder;
}
