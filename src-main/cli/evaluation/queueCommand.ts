import type { ScoringEntry, ScoringTask } from '../../contract/evaluation/scoring.ts';
import { procedures } from '../../contract/procedures.ts';
import type { Core } from '../../core/createCore.ts';
import { check, none, only, parseCommand, text, usageError, type Values } from '../arguments.ts';
import { withCore, type CommandContext } from '../commandContext.ts';
import { formatTable, type Output } from '../output.ts';

const actions = 'list, work, cancel, move and retry';

/** queue list | work | cancel ID... | move ID [--before ID] | retry ID: what waits to be trained and scored */
export async function queueCommand(
  [action = 'list', ...args]: readonly string[],
  command: CommandContext,
): Promise<void> {
  const { values, positionals } = parseCommand(args, { before: { type: 'string' } });
  if (action === 'list' || action === 'work') none(positionals);
  switch (action) {
    case 'list':
      return withCore(values, 'read', async (core, output) => showQueue(core, output));
    case 'work':
      return withCore(values, 'write', (core, output) => work(core, output, command));
    case 'cancel':
      if (positionals.length === 0) throw usageError('Usage: queue cancel ID...');
      return withCore(values, 'write', async (core, output) => {
        for (const id of positionals) core.scoring.require(id);
        core.scoring.cancel(positionals);
        showQueue(core, output);
      });
    case 'move':
      return withCore(values, 'write', async (core, output) => {
        core.scoring.move(only(positionals, 'queue move ID [--before ID]'), text(values, 'before') ?? null);
        showQueue(core, output);
      });
    case 'retry':
      return withCore(values, 'write', async (core, output) => {
        await core.scoring.retry(only(positionals, 'queue retry ID'));
        showQueue(core, output);
      });
    default:
      throw usageError(`queue: unknown action "${action}"; there are ${actions}.`);
  }
}

/**
 * Whether work is to be put into the queue in place of doing it.
 * @throws StudioError usage with a word that is given for one command alone: what is queued is done by another one
 */
export function isQueued(values: Values): boolean {
  if (values['queue'] !== true) return false;
  if (values['allow-code-execution'] === true)
    throw usageError(
      '--allow-code-execution agrees for this command alone, and what is queued is done later: agree to it with settings code-execution allow or in the Settings of the studio, or leave --queue out.',
    );
  return true;
}

/** Puts work into the queue in place of doing it. */
export async function queueTasks(core: Core, output: Output, tasks: readonly ScoringTask[]): Promise<void> {
  const { tasks: checked, batch } = check(procedures['scoring.add'].input, { tasks }, () => 'the queue');
  const entries = await core.scoring.add(checked, batch);
  output.result(entries, () =>
    [
      ...entries.map(({ title, state }) => `${title}: ${state === 'done' ? 'scored already' : 'waits'}`),
      'An open studio works on it, or: queue work',
    ].join('\n'),
  );
}

/** Trains and scores what waits, and what comes to it meanwhile, until nothing is left that can be done. */
async function work(core: Core, output: Output, command: CommandContext): Promise<void> {
  let isInterrupted = false;
  const interrupted = new Promise<void>((resolve) =>
    command.onInterrupt(() => {
      isInterrupted = true;
      output.progress('Ending. Scored items stay; a run keeps a checkpoint.');
      resolve();
    }),
  );
  const titles = new Set<string>();
  const unsubscribe = core.events.subscribe(null, ({ event }) => {
    if (event.type !== 'scoring') return;
    for (const { id, title } of event.queue.running) {
      if (titles.has(id)) continue;
      titles.add(id);
      output.progress(`Scoring ${title}`);
    }
  });
  core.runs.queue.begin();
  core.scoring.begin();
  const isTrained = () => {
    const { running, waiting, isHeld } = core.runs.queue.state();
    return running.length === 0 && (isHeld || waiting.length === 0);
  };
  const trained = () =>
    new Promise<void>((resolve) => {
      if (isTrained()) return resolve();
      const end = core.events.subscribe(null, ({ event }) => {
        if (event.type !== 'queue' || !isTrained()) return;
        end();
        resolve();
      });
    });
  const all = async () => {
    do {
      await trained();
      await core.scoring.idle();
    } while (!isTrained());
  };
  await Promise.race([all(), interrupted]);
  unsubscribe();
  if (isInterrupted) await core.runs.suspend().catch(() => undefined);
  showQueue(core, output);
}

function showQueue(core: Core, output: Output): void {
  const scoring = core.scoring.state();
  const queued = core.runs.queue.state();
  const { isHeld, running, waiting } = queued;
  const runs = [...running, ...waiting];
  const scores = [...scoring.running, ...scoring.waiting, ...scoring.ended];
  output.result({ runs: queued, scoring }, () =>
    [
      runs.length === 0 ? 'No run waits.' : runs.map(({ name }, i) => `${i + 1}. ${name}`).join('\n'),
      ...(isHeld ? ['The queue of runs is held.'] : []),
      scores.length === 0
        ? 'Nothing waits to be scored.'
        : formatTable(['id', 'what', 'state', 'time'], scores.map(scoreRow)),
      ...scoring.waiting.flatMap(({ title, stalled }) => (stalled === null ? [] : [`${title}: ${stalled}`])),
      ...scoring.unreadable.map(
        ({ id, title, reason }) =>
          `${title} (${id}) cannot be read by this version and is left alone: ${reason}. queue cancel ${id} takes it out.`,
      ),
      ...scoring.ended.flatMap(({ title, error }) =>
        error === null ? [] : [`${title}: ${error.message} ${error.remedy}`],
      ),
    ].join('\n'),
  );
}

function scoreRow({ id, title, state, after, seconds, startedAt, endedAt }: ScoringEntry): string[] {
  const took =
    startedAt === null || endedAt === null ? null : (Date.parse(endedAt) - Date.parse(startedAt)) / 1000;
  const time = took ?? seconds;
  return [
    id,
    title,
    state === 'waiting' && after.length > 0 ? 'waits for its training' : state,
    time === null ? '–' : `${took === null ? 'about ' : ''}${Math.ceil(time)} s`,
  ];
}
