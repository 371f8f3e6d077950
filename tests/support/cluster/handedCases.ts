import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import type { TrainConfigInput } from '../../../src-main/contract/training.ts';
import type { EvalMetric, StepMetric } from '../../../src-main/contract/runRecords.ts';
import type { EngineEvent } from '../../../src-main/engine/messages.ts';

/** Steps of the curves. */
export const handedSteps = 50;

const common = {
  learningRate: 1e-3,
  weightDecay: 0.01,
  batch: 3,
  context: 32,
  seed: 5,
  maxSteps: handedSteps,
  evalEvery: 20,
  checkpointEvery: 0,
} satisfies Partial<TrainConfigInput>;
const adapter = { rank: 4, alpha: 8 };

/** What is handed over and trained by two processes of PyTorch; `fsdp`: with the weights spread over them. */
export const handedCases: { name: string; config: TrainConfigInput; fsdp: boolean; isRecorded: boolean }[] = [
  {
    name: 'lora',
    config: {
      ...common,
      adapter: { ...adapter, method: 'lora' },
      accumulate: 2,
      schedule: 'cosine',
      warmupSteps: 5,
      loraPlusRatio: 4,
    },
    fsdp: false,
    isRecorded: true,
  },
  {
    name: 'idlora',
    config: {
      ...common,
      adapter: { ...adapter, method: 'idlora', clusters: 3, pivots: 'random' },
      packing: true,
    },
    fsdp: false,
    isRecorded: true,
  },
  {
    name: 'full',
    config: { ...common, adapter: { ...adapter, method: 'full' }, learningRate: 2e-4 },
    fsdp: true,
    isRecorded: true,
  },
  {
    name: 'dora',
    config: { ...common, adapter: { ...adapter, method: 'dora' }, loraPlusRatio: 4 },
    fsdp: true,
    isRecorded: false,
  },
  {
    name: 'lora-bf16',
    config: { ...common, adapter: { ...adapter, method: 'lora' }, precision: 'bf16' },
    fsdp: true,
    isRecorded: false,
  },
  {
    // One row a step: a process of the two has nothing to do.
    name: 'moelora',
    config: {
      ...common,
      adapter: { ...adapter, method: 'moelora', gate: 'task', experts: 2, tasks: 1 },
      batch: 1,
    },
    fsdp: false,
    isRecorded: false,
  },
  {
    name: 'hydralora',
    config: {
      ...common,
      adapter: { ...adapter, method: 'hydralora' },
      optimizer: 'sgd',
      momentum: 0.9,
      learningRate: 1e-2,
    },
    fsdp: false,
    isRecorded: false,
  },
];

/** Trains what was handed over with two processes on the CPU (gloo). @returns the folder of the result */
export function trainElsewhere(
  python: string,
  { folder, base, fsdp }: { folder: string; base: string; fsdp: boolean },
): string {
  const launcher = ['-W', 'ignore', '-m', 'torch.distributed.run', '--nproc-per-node', '2', '--standalone'];
  const args = [join(folder, 'train.py'), '--base', base, ...(fsdp ? ['--fsdp'] : [])];
  const env = { ...process.env, OMP_NUM_THREADS: '1', HF_HUB_OFFLINE: '1', PYTHONDONTWRITEBYTECODE: '1' };
  execFileSync(python, [...launcher, ...args], { stdio: 'pipe', env });
  return join(folder, 'result');
}

/** Greatest relative errors of a curve against what the studio told of its own training. */
export function curveErrors(
  events: readonly EngineEvent[],
  theirs: { steps: readonly StepMetric[]; evals: readonly EvalMetric[] },
) {
  const steps = events.filter((event) => event.type === 'step');
  const evals = events.filter((event) => event.type === 'eval');
  const worst = (pairs: [number, number | undefined][]) =>
    Math.max(...pairs.map(([a, b]) => (b === undefined ? Infinity : Math.abs(a / b - 1))));
  return {
    loss: worst(steps.map(({ loss }, i) => [loss, theirs.steps[i]?.loss])),
    norm: worst(steps.map(({ gradNorm }, i) => [gradNorm, theirs.steps[i]?.gradNorm])),
    rate: worst(steps.map(({ lr }, i) => [lr || 1, theirs.steps[i]?.lr || 1])),
    heldOut: worst(evals.map(({ loss }, i) => [loss, theirs.evals[i]?.loss])),
  };
}
