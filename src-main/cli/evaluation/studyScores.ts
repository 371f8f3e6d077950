import { evaluationInput } from '../../contract/inputs.ts';
import type { Run } from '../../contract/entities.ts';
import { mostQueuedAtOnce, type ScoringTask } from '../../contract/evaluation/scoring.ts';
import type { Core } from '../../core/createCore.ts';
import { benchmarkSettings } from '../benchmarkArguments.ts';
import { check, list, text, usageError, type Values } from '../arguments.ts';
import type { Output } from '../output.ts';

/** Of what `eval` has, what `train` has no other meaning for. */
const ownOptions = [
  'path',
  'limit',
  'shots',
  'max-tokens',
  'chat',
  'pattern',
  'judge',
  'judge-adapter',
] as const;

/** Options of `study start` on what its runs are scored by when they are trained. */
export const scoreOptions = {
  score: { type: 'string' },
  path: { type: 'string', multiple: true },
  limit: { type: 'string', multiple: true },
  shots: { type: 'string', multiple: true },
  'max-tokens': { type: 'string', multiple: true },
  chat: { type: 'boolean' },
  pattern: { type: 'string' },
  judge: { type: 'string' },
  'judge-adapter': { type: 'string' },
} as const;

type Settings = ReturnType<typeof benchmarkSettings>[number];

/**
 * What --score names, each with its own data and numbers; nothing without it.
 * @throws StudioError usage for an unknown benchmark and for an option that belongs to none
 */
export function scoreSettings(values: Values): Settings[] {
  if (text(values, 'score') === undefined) {
    const idle = ownOptions.find((name) => values[name] !== undefined);
    if (idle) throw usageError(`--${idle} says how runs are scored: add --score, with the benchmarks.`);
    return [];
  }
  if (list(values, 'score')!.length === 0) throw usageError('--score names no benchmark.');
  const own = Object.fromEntries(ownOptions.map((name) => [name, values[name]])) as Values;
  return benchmarkSettings({ ...own, benchmark: values['score'] }, '--score');
}

/** By the model alone, since no run is there yet: for what cannot be scored nothing is to be trained. */
export async function checkScores(
  { scoring }: Core,
  model: string,
  settings: readonly Settings[],
  runs: number,
): Promise<void> {
  if (runs * settings.length > mostQueuedAtOnce)
    throw usageError(
      `${settings.length} benchmarks for ${runs} runs are ${runs * settings.length} scores; ${mostQueuedAtOnce} can be queued at once.`,
      'Name fewer with --score, and queue the others later: eval ... --queue',
    );
  // Held-out rows are a run's own.
  const known = settings.filter(({ benchmark, data }) => benchmark !== 'perplexity' || data !== undefined);
  await scoring.check(known.map((one) => taskOf(model, undefined, one)));
}

/** Puts the scores of the runs into the queue, behind their training, in the order of the runs. */
export async function queueScores(
  { scoring }: Core,
  output: Output,
  runs: readonly Pick<Run, 'id' | 'modelId'>[],
  settings: readonly Settings[],
): Promise<void> {
  if (settings.length === 0) return;
  const tasks = runs.flatMap(({ id, modelId }) => settings.map((one) => taskOf(modelId, id, one)));
  const entries = await scoring.add(tasks, null);
  if (output.json) output.line({ event: 'scores', entries: entries.map(({ id, title }) => ({ id, title })) });
  else
    output.progress(
      `${entries.length} scores wait for the runs. When those are trained, an open studio works on them, or: queue work`,
    );
}

function taskOf(model: string, adapter: string | undefined, settings: Settings): ScoringTask {
  const optionOf = (path: string) => `--${path.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
  return { kind: 'score', input: check(evaluationInput, { model, adapter, ...settings }, optionOf) };
}
