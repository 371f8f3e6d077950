import { warmUpSteps } from '../../src-main/engine/bench/trainingBench.ts';
import { createCardMeter } from '../../src-main/services/machine/cardMeter.ts';
import { createCards } from '../../src-main/services/machine/cards.ts';
import type { CheckedDevice } from './device.ts';
import { runCase, Skipped, type CaseResult, type Deadline } from './partRunner.ts';
import {
  foreseen,
  noRoom,
  randomLoss,
  timedRequest,
  timedShapes,
  timedTokens,
  timedTrainings,
} from './trainingCases.ts';

/** Steps that are timed, behind two that are not. */
const timedSteps = 8;
/** A first case of a shape takes at least so long; a further one as long as those before it. */
const leastSeconds: Readonly<Record<string, number>> = { tiny: 5, '1B': 15, '8B': 25 };
/** How far a first loss may be from what random weights give. */
const lossBound = 0.5;

/** What was measured of a training's steps. */
export interface TrainingFigures {
  shape: string;
  method: string;
  base: 'bf16' | '4 bits';
  gradientCheckpointing: boolean;
  tokensPerSecond: number;
  /** Of the median step; least: of the fastest. */
  secondsPerStep: number;
  leastSecondsPerStep: number;
  firstStepSeconds: number;
  loadSeconds: number;
  /** Needed products of a second, in TFLOP/s; of the card's peak in bf16, null where that is not known. */
  teraflops: number;
  shareOfPeak: number | null;
  /** As nvidia-smi shows it, null where it shows nothing; on a processor the process's greatest resident memory. */
  memoryBytes: number | null;
  forecastBytes: number;
  losses: { first: number; last: number };
}

/** Times steps of random models at full size, each in an engine of its own: its memory is only then its own. */
export async function checkTraining(
  device: CheckedDevice,
  shapes: readonly string[],
  deadline: Deadline,
  onResult: (result: CaseResult) => void,
): Promise<CaseResult[]> {
  const taken = new Map<string, number>();
  const results: CaseResult[] = [];
  for (const training of timedTrainings(shapes)) {
    const { name, shape, method, loadIn4bit, gradientCheckpointing } = training;
    const needed = taken.get(shape) ?? leastSeconds[shape]!;
    const expected = foreseen(training, device.kind);
    const result = await runCase(
      name,
      deadline,
      needed,
      async (fail): Promise<TrainingFigures & Record<string, unknown>> => {
        const why = noRoom(expected, await freeMemory(device));
        if (why) throw new Skipped(why);
        const host = device.openHost();
        try {
          const job = host.start(timedRequest(training, timedSteps), {
            signal: deadline.signal,
            onEvent(event) {
              if (event.type === 'progress' && event.done === warmUpSteps) meter?.look();
            },
          });
          const { card } = device;
          const meter = card && createCardMeter({ card: card.id, pid: job.pid, isAlone: () => true });
          const measured = await job.result;
          const seen = await meter?.read();
          const first = randomLoss(timedShapes[shape]!);
          if (!(Math.abs(measured.losses.first - first) < lossBound))
            fail(
              `numbers differ: the first loss is ${measured.losses.first}, of random weights it is ${first.toFixed(2)}`,
            );
          const perSecond = expected.flops / measured.secondsPerStep.median;
          return {
            shape,
            method,
            base: loadIn4bit ? '4 bits' : 'bf16',
            gradientCheckpointing,
            tokensPerSecond: timedTokens / measured.secondsPerStep.median,
            secondsPerStep: measured.secondsPerStep.median,
            leastSecondsPerStep: measured.secondsPerStep.minimum,
            firstStepSeconds: measured.firstStepSeconds,
            loadSeconds: measured.loadSeconds,
            teraflops: perSecond / 1e12,
            shareOfPeak: device.peak === null ? null : perSecond / device.peak,
            memoryBytes: seen ? seen.bytes || null : measured.peakMemoryBytes,
            forecastBytes: expected.bytes,
            losses: measured.losses,
          };
        } finally {
          host.close();
        }
      },
    );
    if (result.state === 'passed' || result.state === 'failed')
      taken.set(shape, Math.max(taken.get(shape) ?? 0, result.seconds));
    results.push(result);
    onResult(result);
  }
  return results;
}

/** What is free now: engines of cases before may still be ending, and others may use the card. */
async function freeMemory({ card, memoryBytes }: CheckedDevice): Promise<{ device: number; host: number }> {
  const host = process.availableMemory();
  if (!card) return { device: Math.min(memoryBytes, host), host };
  const now = (await createCards().find()).find(({ id }) => id === card.id);
  return { device: memoryBytes - (now?.memoryUsedBytes ?? 0), host };
}
