import { resolve } from 'node:path';
import { createCore, type Core } from '../core/createCore.ts';
import { defaultHome } from '../services/homePaths.ts';
import { text, type Values } from './arguments.ts';
import { createOutput, formatBytes, type Output } from './output.ts';

/** What a command gets besides its arguments. */
export interface CommandContext {
  /** Aborted by the second Ctrl+C. */
  signal: AbortSignal;
  /** Called at the first Ctrl+C; without a listener it ends the process. */
  onInterrupt(listener: () => void): void;
}

export function homeOf(values: Values): string {
  return resolve(text(values, 'home') ?? defaultHome());
}

/**
 * Runs `work` with a core on the data folder that the options name, and closes it.
 * @param whenUnnamed the project without `--project`: scripts depend on `default`, people go on where they were
 */
export async function withCore(
  values: Values,
  mode: 'read' | 'write',
  work: (core: Core, output: Output) => Promise<void>,
  whenUnnamed: 'default' | 'last' = 'default',
): Promise<void> {
  const output = createOutput(values['json'] === true);
  const project = text(values, 'project') ?? (whenUnnamed === 'last' ? null : 'default');
  const core = createCore({ home: homeOf(values), project, mode });
  const unsubscribe = core.events.subscribe(null, createProgressPrinter(output));
  try {
    await work(core, output);
  } finally {
    unsubscribe();
    core.close();
  }
}

/** Prints the progress of long work once a second for each label; what is through within a second is not mentioned. */
function createProgressPrinter(output: Output): Parameters<Core['events']['subscribe']>[1] {
  const last = new Map<string, { at: number; done: number }>();
  return ({ event }) => {
    if (event.type !== 'progress') return;
    const { label, done, total, secondsLeft, unit } = event;
    const shown = unit === 'bytes' ? formatBytes : String;
    const now = Date.now();
    const before = last.get(label);
    const hasBegunAnew = before === undefined || done < before.done;
    if (hasBegunAnew) last.set(label, { at: now, done });
    if (hasBegunAnew || now - before.at < 1000) return;
    last.set(label, { at: now, done });
    const left = secondsLeft == null ? '' : `, about ${roughDuration(secondsLeft)} left`;
    output.progress(`${label}: ${shown(done)}${total === null ? '' : ` of ${shown(total)}`}${left}`);
  };
}

function roughDuration(seconds: number): string {
  return seconds < 90 ? `${Math.ceil(seconds)} s` : `${Math.round(seconds / 60)} min`;
}
