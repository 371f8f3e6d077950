import { execFileSync, spawn } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
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

interface HandedCase {
  name: string;
  config: TrainConfigInput;
  fsdp: boolean;
  isRecorded: boolean;
  /** The first job is killed when it tells of this step, and a second one goes on. */
  killedAfter?: number;
  /** The second job, where it is another one than the first. */
  goesOn?: Job;
}

interface Job {
  processes: number;
  fsdp: boolean;
}

/** What is handed over and trained by two processes of PyTorch; `fsdp`: with the weights spread over them. */
export const handedCases: HandedCase[] = [
  {
    name: 'lora',
    killedAfter: 23,
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
    killedAfter: 23,
    config: { ...common, adapter: { ...adapter, method: 'full' }, learningRate: 2e-4 },
    fsdp: true,
    isRecorded: true,
  },
  {
    // Three processes have other rows than two, and some of them none.
    name: 'dora',
    killedAfter: 23,
    goesOn: { processes: 3, fsdp: true },
    config: { ...common, adapter: { ...adapter, method: 'dora' }, loraPlusRatio: 4 },
    fsdp: true,
    isRecorded: false,
  },
  {
    name: 'lora-bf16',
    killedAfter: 23,
    goesOn: { processes: 1, fsdp: false },
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
    killedAfter: 23,
    goesOn: { processes: 2, fsdp: true },
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
export async function trainElsewhere(
  python: string,
  {
    folder,
    base,
    case: { fsdp, killedAfter, goesOn },
  }: { folder: string; base: string; case: Pick<HandedCase, 'fsdp' | 'killedAfter' | 'goesOn'> },
): Promise<string> {
  const argsOf = (job: Job) => [
    ...[
      '-W',
      'ignore',
      '-m',
      'torch.distributed.run',
      '--nproc-per-node',
      `${job.processes}`,
      '--standalone',
    ],
    ...[join(folder, 'train.py'), '--base', base, '--save-every', '5', ...(job.fsdp ? ['--fsdp'] : [])],
  ];
  const first = { processes: 2, fsdp };
  const env = { ...process.env, OMP_NUM_THREADS: '1', HF_HUB_OFFLINE: '1', PYTHONDONTWRITEBYTECODE: '1' };
  const result = join(folder, 'result');
  if (killedAfter !== undefined) {
    await killAfter(python, argsOf(first), { env, step: killedAfter });
    const kept = existsSync(join(result, `state-${killedAfter - (killedAfter % 5)}`));
    if (kept !== fsdp) throw new Error(`rows of each process are ${kept ? '' : 'not '}kept`);
  }
  const told = execFileSync(python, argsOf(goesOn ?? first), { stdio: 'pipe', env }).toString();
  if (
    killedAfter !== undefined &&
    !told.includes(`Going on after step ${killedAfter - (killedAfter % 5)} of`)
  )
    throw new Error(`the second job did not go on: ${told.slice(0, 500)}`);
  const left = readdirSync(result).filter((name) => name.includes('state'));
  if (left.length > 0) throw new Error(`the state of a job that is done is there: ${left.join()}`);
  return result;
}

/** Starts a job and kills all of its processes as soon as it tells of a step. */
function killAfter(
  python: string,
  args: readonly string[],
  { env, step }: { env: NodeJS.ProcessEnv; step: number },
): Promise<void> {
  const child = spawn(python, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  return new Promise((resolve, reject) => {
    let [told, errors, isKilled] = ['', '', false];
    child.stderr.on('data', (part: Buffer) => (errors = (errors + part.toString()).slice(-5000)));
    child.stdout.on('data', (part: Buffer) => {
      told += part.toString();
      if (isKilled || !told.includes(`"event": "step", "step": ${step},`)) return;
      isKilled = true;
      // The launcher first, which would end the others in order; they are in sessions of their own.
      const others = childrenOf(child.pid!);
      for (const pid of [child.pid!, ...others]) process.kill(pid, 'SIGKILL');
    });
    child.on('error', reject);
    child.on('close', () => (isKilled ? resolve() : reject(new Error(`it ended by itself: ${errors}`))));
  });
}

function childrenOf(parent: number): number[] {
  const isChild = (pid: string) => {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
      return Number(stat.slice(stat.lastIndexOf(')')).split(' ')[2]) === parent;
    } catch {
      return false; // It has ended.
    }
  };
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && isChild(name))
    .map(Number);
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
