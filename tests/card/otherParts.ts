import { statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { StudioError } from '../../src-main/contract/errors.ts';
import type { BenchRequest } from '../../src-main/engine/benchProtocol.ts';
import { baseParameters } from '../../src-main/shape/modelShape.ts';
import { addTokenizer, timeAnswers } from '../support/measuredEvaluation.ts';
import { writeRandomModel } from '../support/measuredTraining.ts';
import { openReference, type CheckedDevice } from './device.ts';
import type { ParityData } from './parity.ts';
import { runCase, Skipped, type CaseResult, type Deadline } from './partRunner.ts';
import { timedShapes } from './trainingCases.ts';

const oneStep = {
  kind: 'bench',
  method: 'lora',
  rank: 8,
  batch: 1,
  tokens: 64,
  precision: 'bf16',
  gradientCheckpointing: false,
  steps: 1,
} as const;

/** Chooses the pivots of the seven modules of one layer, as many as the paper does. */
export async function checkPivots(
  device: CheckedDevice,
  shapes: readonly string[],
  deadline: Deadline,
): Promise<CaseResult[]> {
  const name = shapes.includes('tiny') ? 'tiny' : '8B';
  const shape = timedShapes[name]!;
  const result = await runCase(`PMRC, a layer of ${name}`, deadline, 10, async () => {
    const host = device.openHost();
    try {
      const request: BenchRequest = {
        ...oneStep,
        // The vocabulary has no pivots.
        shape: { ...shape, layers: 1, vocabularySize: 512, tieEmbeddings: true },
        method: 'idlora',
        rank: name === 'tiny' ? 8 : 128,
        clusters: 4,
        pivots: 'pmrc',
      };
      const { prepareSeconds } = await host.start(request, { signal: deadline.signal }).result;
      return {
        layerSeconds: prepareSeconds,
        layers: shape.layers,
        allSeconds: shape.layers * prepareSeconds,
      };
    } finally {
      host.close();
    }
  });
  return [result];
}

/** Prompt and answer of what is timed. */
const [promptTokens, answerTokens] = [64, 64];

/** Answers of the device are those of the processor, token by token; and how fast a larger model answers. */
export async function checkDecoding(
  device: CheckedDevice,
  shapes: readonly string[],
  data: ParityData,
  folder: string,
  deadline: Deadline,
): Promise<CaseResult[]> {
  const results = [
    await runCase('decoding, the same tokens', deadline, 5, async (fail) => {
      const hosts = [device.openHost(), openReference()];
      try {
        const answers = await Promise.all(
          hosts.map(async (host) => {
            const job = host.start(
              {
                kind: 'generate',
                model: { folder: data.modelFolder, precision: 'f32', adapterFolder: null },
                prompts: [[1, 5, 9, 77], [1, 200, 33], Array.from({ length: 150 }, (_, i) => 3 + (i % 250))],
                maxTokens: 24,
                temperature: 0,
                topP: 1,
                seed: 0,
                stop: [],
                endIds: [2 ** 30],
                batch: 3,
              },
              { signal: deadline.signal },
            );
            return (await job.result).rows.map(({ ids }) => ids);
          }),
        );
        const [own, reference] = answers as [number[][], number[][]];
        const other = own.findIndex((ids, i) => ids.join() !== reference[i]!.join());
        if (other >= 0)
          fail(
            `numbers differ: answer ${other + 1} is ${own[other]!.join(' ')}, the processor's ${reference[other]!.join(' ')}`,
          );
        return { answers: own.length, tokens: own.flat().length };
      } finally {
        for (const host of hosts) host.close();
      }
    }),
  ];
  const name = shapes.includes('tiny') ? 'tiny' : '1B';
  const shape = timedShapes[name]!;
  const modelFolder = join(folder, 'decoded-model');
  const written = await runCase(`writing a random model of ${name}`, deadline, 10, async () => {
    const bytes = 2 * baseParameters(shape);
    const { bavail, bsize } = statfsSync(tmpdir());
    if (bavail * bsize < 1.2 * bytes)
      throw new Skipped(
        `disk: ${(bytes / 1e9).toFixed(1)} GB are needed at ${tmpdir()}, ${((bavail * bsize) / 1e9).toFixed(1)} GB are free (TMPDIR names another place)`,
      );
    writeRandomModel(modelFolder, shape, 2048);
    addTokenizer(modelFolder);
    return { bytes };
  });
  if (written.state !== 'passed') return [...results, written];
  for (const [quantization, batch] of [
    ['none', 1],
    ['none', 16],
    ['nf4', 1],
  ] as const) {
    const what = `decoding ${name}, ${quantization === 'nf4' ? '4 bits' : 'bf16'}, ${batch === 1 ? 'one row' : `${batch} rows`}`;
    results.push(
      await runCase(what, deadline, 10, async () => {
        const host = device.openHost();
        try {
          const { tokensPerSecond, loadSeconds } = await timeAnswers(host, {
            model: { folder: modelFolder, precision: 'bf16', adapterFolder: null, quantization },
            batch,
            promptTokens,
            newTokens: answerTokens,
            rounds: 1,
            signal: deadline.signal,
          });
          return { tokensPerSecond, loadSeconds, promptTokens, answerTokens };
        } finally {
          host.close();
        }
      }),
    );
  }
  return results;
}

/** A small model whose attention alone takes more than any card has. */
const wideBatch = {
  hiddenSize: 256,
  intermediateSize: 512,
  layers: 1,
  heads: 16,
  keyValueHeads: 16,
  headDim: 16,
};

/** A training that is too large ends with the studio's sentence, and the next one trains. */
export async function checkOutOfMemory(device: CheckedDevice, deadline: Deadline): Promise<CaseResult[]> {
  const result = await runCase('a training that is too large', deadline, 10, async (fail) => {
    if (device.kind === 'cpu')
      throw new Skipped(
        'it would take the memory of the whole machine, and the system would end programs for it',
      );
    const host = device.openHost();
    const shape = { ...wideBatch, vocabularySize: 512 };
    const tokens = 2048;
    try {
      const scoresOfRow = 4 * shape.heads * 512 * tokens;
      const batch = Math.ceil((4 * device.memoryBytes) / scoresOfRow);
      const said = await host
        .start({ ...oneStep, shape, tokens, batch }, { signal: deadline.signal })
        .result.then(
          () => null,
          (error: unknown) => error,
        );
      if (deadline.signal.aborted && said) throw said;
      const isSaid =
        said instanceof StudioError &&
        said.code === 'out_of_memory' &&
        said.message.startsWith("The GPU's memory is full");
      if (said === null)
        fail(`a batch of ${batch} rows of ${tokens} tokens trained, which takes more memory than there is`);
      else if (!isSaid) fail(`it ended with: ${String((said as Error).message ?? said).slice(0, 400)}`);
      const after = await host.start({ ...oneStep, shape }, { signal: deadline.signal }).result;
      return {
        batch,
        said:
          said instanceof StudioError
            ? { code: said.code, message: said.message, remedy: said.remedy }
            : null,
        nextTrained: after.secondsPerStep.median,
      };
    } finally {
      host.close();
    }
  });
  return [result];
}
