import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { trainConfigSchema } from '../../src-main/contract/training.ts';
import type { EngineHost } from '../../src-main/engine/process/supervisor.ts';
import { benchConfig } from '../../src-main/engine/bench/randomModel.ts';
import { writeSafetensors } from '../../src-main/formats/files/safetensors.ts';
import { writeTokenFile } from '../../src-main/formats/files/tokenFile.ts';
import { expectedWeights } from '../../src-main/formats/model/decoderWeights.ts';
import { createRandom } from '../../src-main/statistics/random.ts';
import { addTokenizer } from '../support/measuredEvaluation.ts';
import { writeRandomModel } from '../support/measuredTraining.ts';
import { openReference, type CheckedDevice } from './device.ts';
import { parityContext, parityTrainings, type ParityTraining } from './parityCases.ts';
import { runCase, type CaseResult, type Deadline } from './partRunner.ts';

const sizes = {
  hiddenSize: 128,
  intermediateSize: 256,
  layers: 2,
  heads: 4,
  keyValueHeads: 2,
  headDim: 32,
  vocabularySize: 256,
};

/** What every case trains on. */
export interface ParityData {
  modelFolder: string;
  trainFile: string;
  heldOutFile: string;
}

/**
 * A small Llama whose weights are as large as trained ones are for its width: attention looks somewhere, and losses
 * tell it. Rows of several lengths, the first as long as the context, of two tasks.
 */
export function writeParityData(folder: string): ParityData {
  const modelFolder = join(folder, 'parity-model');
  writeRandomModel(modelFolder, benchConfig(sizes, parityContext), parityContext);
  addTokenizer(modelFolder);
  const random = createRandom(11);
  writeSafetensors(
    join(modelFolder, 'model.safetensors'),
    [...expectedWeights(benchConfig(sizes, parityContext))].map(([name, shape]) => {
      const count = shape.reduce((product, size) => product * size, 1);
      const value = name.endsWith('norm.weight') ? () => 1 : () => random.normal() / Math.sqrt(shape[1]!);
      const values = Float32Array.from({ length: count }, value);
      return { name, dtype: 'F32' as const, shape, data: new Uint8Array(values.buffer) };
    }),
  );
  const [trainFile, heldOutFile] = [join(folder, 'train.tokens'), join(folder, 'heldout.tokens')];
  const row = (length: number, task: number) => ({
    ids: Int32Array.from({ length }, () => 3 + random.integer(sizes.vocabularySize - 3)),
    trained: Uint8Array.from({ length }, (_, i) => (i < 4 ? 0 : 1)),
    task,
  });
  const lengths = [parityContext, 200, 90, 310, 560, 40, 130, 480, 250, 70, 400, 620];
  writeTokenFile(
    trainFile,
    lengths.map((length, i) => row(length, i % 2)),
  );
  writeTokenFile(
    heldOutFile,
    [300, 520, 30].map((length, i) => row(length, i % 2)),
  );
  return { modelFolder, trainFile, heldOutFile };
}

/** What a training said of itself. */
interface Numbers {
  losses: number[];
  norms: number[];
}

async function numbersOf(
  host: EngineHost,
  data: ParityData,
  { config }: ParityTraining,
  out: string,
  signal: AbortSignal,
): Promise<Numbers> {
  const numbers: Numbers = { losses: [], norms: [] };
  const { modelFolder, trainFile, heldOutFile } = data;
  await host.start(
    {
      kind: 'train',
      modelFolder,
      trainFile,
      heldOutFile,
      config: trainConfigSchema.parse(config),
      checkpointFolder: join(out, 'checkpoints'),
      cacheFolder: join(out, 'cache'),
      resumeFrom: null,
    },
    {
      signal,
      onEvent(event) {
        if (event.type === 'step') {
          numbers.losses.push(event.loss);
          numbers.norms.push(event.gradNorm);
        }
        if (event.type === 'eval') numbers.losses.push(event.loss);
        // It changed nothing, and has no number that could be compared.
        if (event.type === 'skipped') numbers.losses.push(Number.NaN);
      },
    },
  ).result;
  return numbers;
}

/** Greatest relative error; infinite where a number is missing or is none. */
export function worstError(actual: readonly number[], expected: readonly number[]): number {
  if (actual.length !== expected.length || expected.length === 0) return Infinity;
  return actual.reduce((worst, value, i) => {
    const error = Math.abs(value - expected[i]!) / Math.abs(expected[i]!);
    return Number.isFinite(error) ? Math.max(worst, error) : Infinity;
  }, 0);
}

/** About what a case takes, with the compilation of its functions. */
const caseSeconds = 5;

/**
 * Trains each case on the device and on the processor, and compares losses, held-out losses and the norms of gradients.
 * Nothing is timed here, so that several run at once where there are cores for it, each in engines that are kept:
 * to start one for each would take longer than the cases.
 */
export async function checkParity(
  device: CheckedDevice,
  data: ParityData,
  folder: string,
  deadline: Deadline,
  onResult: (result: CaseResult) => void,
): Promise<CaseResult[]> {
  const trainings = parityTrainings();
  const waiting = [...trainings.entries()];
  const results: CaseResult[] = [];
  const lanes = Math.min(3, Math.max(1, Math.floor(availableParallelism() / 4)));
  const lane = async () => {
    const [own, reference] = [device.openHost(() => true), openReference(() => true)];
    try {
      for (let next = waiting.shift(); next; next = waiting.shift()) {
        const [i, training] = next;
        const result = await runCase(training.name, deadline, caseSeconds, async (fail) => {
          const out = (name: string) => join(folder, `parity-${i}-${name}`);
          const [actual, expected] = await Promise.all([
            numbersOf(own, data, training, out('device'), deadline.signal),
            numbersOf(reference, data, training, out('processor'), deadline.signal),
          ]);
          const worst = {
            loss: worstError(actual.losses, expected.losses),
            norm: worstError(actual.norms, expected.norms),
          };
          for (const what of ['loss', 'norm'] as const)
            if (!(worst[what] <= training.bounds[what]))
              fail(
                `numbers differ: ${what} by ${worst[what].toExponential(1)}, at most ${training.bounds[what]} is expected`,
              );
          return { worst, bounds: training.bounds, device: actual, processor: expected };
        });
        results[i] = result;
        onResult(result);
      }
    } finally {
      own.close();
      reference.close();
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return results;
}
