import { recentSteps, type EndReason, type Run } from '../../contract/entities.ts';
import type { RunCard } from '../../contract/machine.ts';
import type {
  EvalMetric,
  LogLevel,
  LogLine,
  RouterLayout,
  RouterRecord,
  Sample,
  SourceMetric,
  StepMetric,
} from '../../contract/runRecords.ts';
import { toPlainError } from '../../contract/errors.ts';
import type { EngineEvent } from '../../engine/messages.ts';
import type { TrainResult } from '../../engine/protocol.ts';
import type { CardPeak, RunForecast } from '../../contract/forecast.ts';
import { recentLossOf, writeMetrics } from '../../store/metrics.ts';
import type { ServiceContext } from '../context.ts';
import { endProgress } from '../progress.ts';
import type { CardMeter } from '../machine/cardMeter.ts';
import { usesTf32 } from '../../options/tensorUnits.ts';
import { startMeter } from './runMeter.ts';

/** Metrics go to the database at most this often: one commit costs a disk flush. */
const flushEveryMs = 500;

/** How a person ends a run before its last step: with a checkpoint, without, or with one to go on from. */
export type Ending = 'stop' | 'discard' | 'pause';

/** State and reason of a run that a person ended. */
export function endedBy(how: Ending | null): Pick<Run, 'state' | 'endReason'> {
  return how === 'pause'
    ? { state: 'paused', endReason: null }
    : { state: 'stopped', endReason: 'stop_requested' };
}

const endReasons: Record<Exclude<TrainResult['outcome'], 'stopped'>, EndReason> = {
  done: 'all_steps',
  early_stopped: 'early_stopped',
};

/**
 * Turns the engine's events into the run's record: metrics in batches, state at once.
 * @param save writes the run's record and tells the page; returns what was written
 * @param options.watch sees every event, too
 */
export function createRunRecorder(
  context: ServiceContext,
  initial: Run,
  save: (run: Run) => Run,
  options: {
    watch: ((event: EngineEvent) => void) | undefined;
    /** The forecast of a run of so many steps. */
    foresee(steps: number): RunForecast;
    /** Does later, once it can be done, what a full disk, say, does not allow now. */
    later(write: () => void): void;
  },
) {
  const { watch, foresee, later } = options;
  const meter = startMeter();
  let cardMeter: CardMeter | null = null;
  let run = initial;
  /** What was foreseen and measured before: it stands where no step is taken now. */
  const { forecast, measured } = initial;
  let steps: StepMetric[] = [];
  let evals: EvalMetric[] = [];
  let sources: SourceMetric[] = [];
  let samples: Sample[] = [];
  let router: { layout: RouterLayout; records: RouterRecord[] } | null = null;
  let logs: Omit<LogLine, 'id'>[] = [];
  /** Whether the last attempt to write failed: said once, not at every attempt. */
  let isFailing = false;
  let timer: NodeJS.Timeout | null = null;

  const flush = () => {
    if (timer) clearTimeout(timer);
    timer = null;
    if (steps.length + evals.length + samples.length + logs.length === 0 && !router) return;
    const { writable } = context.writable();
    const last = steps.at(-1);
    // All or nothing: what failed halfway would be written twice.
    const lines = writable.transaction(() => {
      const stored = writeMetrics(context.writable(), run.id, {
        steps,
        evals,
        sources,
        samples,
        router,
        logs,
      });
      run = save({
        ...run,
        step: Math.max(run.step, last?.step ?? 0),
        lastLoss: last?.loss ?? run.lastLoss,
        recentLoss: last ? recentLossOf(context.writable(), run.id, recentSteps) : run.recentLoss,
        lastHeldOutLoss: evals.at(-1)?.loss ?? run.lastHeldOutLoss,
      });
      return stored;
    })();
    isFailing = false;
    const runId = run.id;
    if (steps.length > 0) context.emit({ type: 'run.steps', runId, steps });
    for (const metric of evals) context.emit({ type: 'run.eval', runId, metric });
    if (samples.length > 0) context.emit({ type: 'run.samples', runId, samples });
    for (const { step } of router?.records ?? []) context.emit({ type: 'run.router', runId, step });
    if (lines.length > 0) context.emit({ type: 'run.log', runId, lines });
    [steps, evals, sources, samples, logs] = [[], [], [], [], []];
    router = null;
  };
  /** A full disk, say, ends no training: what cannot be written stays in memory and is tried again with the next. */
  const tryFlush = () => {
    try {
      flush();
    } catch (error) {
      if (!isFailing) keep(`Metrics were written late: ${toPlainError(error).message}`, 'warning');
      isFailing = true;
    }
  };
  /** Records the end; where it cannot be written yet, everybody is told all the same. */
  function end(ending: Partial<Run>): Run {
    const endedAt = new Date().toISOString();
    const how = meter.hasSteps()
      ? ending
      : { ...ending, ...(measured ? { forecast, measured } : { measured }) };
    const write = () => {
      flush();
      run = save({ ...run, ...how, endedAt });
    };
    try {
      write();
    } catch (error) {
      console.error(error);
      run = { ...run, ...how, endedAt };
      context.emit({ type: 'run', run });
      later(write);
    }
    return run;
  }
  const flushSoon = () => {
    timer ??= setTimeout(tryFlush, flushEveryMs);
  };

  const keep = (line: string, level: LogLevel) => logs.push({ time: new Date().toISOString(), level, line });
  const log = (line: string, level = levelOf(line)) => {
    keep(line, level);
    flushSoon();
  };

  return {
    /** It has a card to itself. */
    placed({ id, name, capability, memoryBytes }: RunCard, follow: CardMeter): void {
      cardMeter = follow;
      const card = { id, name, capability, memoryBytes };
      const tf32 = run.config.precision === 'f32' ? usesTf32(run.config, capability, process.env) : null;
      run = { ...run, environment: run.environment && { ...run.environment, card, tf32 } };
      log(`trains on card ${id}: ${name}`, 'info');
      if (tf32) log('f32 products round to TF32: the numbers are not those of f32', 'info');
      else if (tf32 === false && run.config.tf32)
        log(`${name} has no units for TF32: products are f32`, 'info');
      tryFlush();
    },
    onEvent(event: EngineEvent): void {
      meter.see(event);
      switch (event.type) {
        case 'start':
          run = {
            ...run,
            trainable: event.trainable,
            frozenExtra: event.frozenExtra,
            totalSteps: event.totalSteps,
            step: event.firstStep - 1,
            skippedSteps: event.skippedSteps,
            best: event.best,
            forecast: foresee(event.totalSteps - event.firstStep + 1),
            measured: null,
            environment: run.environment && {
              ...run.environment,
              products: event.products,
              parts: event.parts,
            },
            dataContract: run.dataContract && { ...run.dataContract, packing: event.packing },
          };
          log(`training from step ${event.firstStep} of ${event.totalSteps}`, 'info');
          if (run.config.tf32 && run.config.precision === 'f32' && run.environment?.device === 'cpu')
            log('TF32 changes nothing on a processor: products are f32', 'info');
          tryFlush();
          // What follows is told step by step.
          endProgress(context, `run ${run.id}`);
          break;
        case 'step': {
          const { type: _type, ...metric } = event;
          steps.push(metric);
          cardMeter?.look();
          flushSoon();
          break;
        }
        case 'skipped':
          run = { ...run, step: event.step, skippedSteps: run.skippedSteps + 1 };
          log(`step ${event.step} skipped: ${event.reason}`, 'warning');
          break;
        case 'eval': {
          const { type: _type, ...metric } = event;
          evals.push(metric);
          cardMeter?.look();
          if (metric.loss < (run.best?.loss ?? Infinity))
            run = { ...run, best: { step: metric.step, loss: metric.loss } };
          flushSoon();
          break;
        }
        case 'sources': {
          const { type: _type, ...metric } = event;
          sources.push(metric);
          flushSoon();
          break;
        }
        case 'sample': {
          const { type: _type, ...sample } = event;
          samples.push(sample);
          flushSoon();
          break;
        }
        case 'router': {
          const { type: _type, layout, ...record } = event;
          router = { layout, records: [...(router?.records ?? []), record] };
          flushSoon();
          break;
        }
        case 'log':
          log(event.line);
          break;
        case 'progress':
          context.emit({ ...event, task: `run ${run.id}` });
          break;
        case 'checkpoint':
          log(`checkpoint at step ${event.step}`, 'info');
          tryFlush();
          break;
        // Only of models that are evaluated or talked with.
        case 'generated':
        case 'chosen':
        case 'opened':
        case 'answering':
        case 'answered':
          break;
        default:
          throw new Error(`unknown event ${JSON.stringify(event satisfies never)}`);
      }
      watch?.(event);
    },
    onLog: (line: string) => log(line),
    /** What is known of its card's memory; null: it has none. */
    cardPeak: (): Promise<CardPeak | null> => cardMeter?.read() ?? Promise.resolve(null),
    /** @param asked how somebody asked it to end, if anybody did */
    finish(result: TrainResult, asked: Ending | null, cardPeak: CardPeak | null): Run {
      const ending: Pick<Run, 'state' | 'endReason'> =
        result.outcome === 'stopped'
          ? endedBy(asked)
          : { state: 'done', endReason: endReasons[result.outcome] };
      log(`ended at step ${result.step}: ${(ending.endReason ?? ending.state).replaceAll('_', ' ')}`, 'info');
      return end({
        ...ending,
        step: result.step,
        best: result.best,
        measured: meter.read(result.peakMemoryBytes, cardPeak),
      });
    },
    /** Of a run whose engine was killed because nothing more of it is wanted: what it wrote before stays. */
    abandon(): Run {
      log(`ended after step ${run.step}, in the middle of another`, 'info');
      return end(endedBy('discard'));
    },
    fail(error: unknown): Run {
      log(`failed at step ${run.step}: ${toPlainError(error).message}`, 'error');
      return end({ state: 'failed', error: toPlainError(error) });
    },
  };
}

/**
 * TensorFlow's lines: `2026-11-25 01:02:03.456789: W tensorflow/...`, or `W0000 00:00:1795571914.504377 14374
 * port.cc:153] ...`.
 */
const tensorflowLine = /^(?:[\d-]+ [\d:.]+: ([IWEF]) |([IWEF])\d{4} [\d:.]+ )/;
const tensorflowLevels: Readonly<Record<string, LogLevel>> = {
  I: 'info',
  W: 'warning',
  E: 'error',
  F: 'error',
};

/** How grave a line is that an engine's process printed. */
export function levelOf(line: string): LogLevel {
  const found = tensorflowLine.exec(line);
  const letter = found?.[1] ?? found?.[2];
  if (letter !== undefined) return tensorflowLevels[letter]!;
  if (/^(\w*Error|Uncaught)\b/.test(line)) return 'error';
  return /\bwarning\b/i.test(line) ? 'warning' : 'info';
}
