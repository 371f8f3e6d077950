import { mkdirSync } from 'node:fs';
import type { CodeExecution } from '../contract/evaluation/grading.ts';
import { trainAtOnceSchema, type TrainAtOnce } from '../contract/entities.ts';
import { StudioError } from '../contract/errors.ts';
import type { Updates } from '../contract/machine.ts';
import { isCodeAllowed, keepConsent } from '../evaluation/sandbox/consent.ts';
import { describeSandbox } from '../services/evaluations/grading.ts';
import { homePaths } from '../services/homePaths.ts';
import { createUpdateService } from '../services/machine/updates.ts';
import { keepTrainAtOnce, readTrainAtOnce } from '../services/runs/trainAtOnce.ts';
import { updateChannel } from '../setup/paths.mjs';
import { parseCommand, usageError, type Values } from './arguments.ts';
import { homeOf, type CommandContext } from './commandContext.ts';
import { createOutput } from './output.ts';

const usage =
  'settings [code-execution [allow|forbid] | train-at-once [all|one] | updates [allow|forbid|look]]';
const decisions: Readonly<Record<string, readonly string[]>> = {
  'code-execution': ['allow', 'forbid'],
  'train-at-once': ['all', 'one'],
  updates: ['allow', 'forbid', 'look'],
};

/**
 * settings [code-execution [allow|forbid] | train-at-once [all|one] | updates [allow|forbid|look]]: what is kept of the
 * user's decisions. Beside an open studio, too: it asks the same files whenever something is to be run.
 */
export async function settingsCommand(args: readonly string[], { signal }: CommandContext): Promise<void> {
  const { values, positionals } = parseCommand(args, {});
  const [name, decision, ...rest] = positionals;
  const known = Object.keys(decisions);
  if (name !== undefined && !known.includes(name))
    throw usageError(`There is no setting "${name}"; there are ${known.join(', ')}.`, `Usage: ${usage}`);
  if (rest.length > 0 || (decision !== undefined && !decisions[name!]!.includes(decision)))
    throw usageError(`Usage: ${usage}`);
  if (name === 'updates') return updatesCommand(values, decision, signal);
  const home = homeOf(values);
  const paths = homePaths(home);
  const output = createOutput(values['json'] === true);
  if (name === 'train-at-once') {
    mkdirSync(home, { recursive: true });
    if (decision !== undefined) keepTrainAtOnce(paths.trainAtOnce, trainAtOnceSchema.parse(decision));
    const trainAtOnce = readTrainAtOnce(paths.trainAtOnce);
    return output.result({ trainAtOnce }, () => atOnceText(trainAtOnce));
  }
  const found = await describeSandbox(signal);
  if (decision === 'allow') {
    // Nobody can agree to what the studio cannot keep.
    if (found.problem) throw new StudioError('sandbox_missing', found.problem.message, found.problem.remedy);
    mkdirSync(home, { recursive: true });
  }
  if (decision !== undefined) keepConsent(paths.codeExecution, decision === 'allow');
  const codeExecution: CodeExecution = { isAllowed: isCodeAllowed(paths.codeExecution), ...found };
  const shown = name === undefined ? { trainAtOnce: readTrainAtOnce(paths.trainAtOnce) } : {};
  output.result({ codeExecution, ...shown }, () =>
    [codeText(codeExecution), ...(shown.trainAtOnce ? [atOnceText(shown.trainAtOnce)] : [])].join('\n'),
  );
}

function atOnceText(atOnce: TrainAtOnce): string {
  return atOnce === 'all'
    ? 'The queue trains a run on each card that TensorFlow can use, where there are several. One at a time: settings train-at-once one'
    : 'The queue trains one run at a time, whatever cards are free. On all of them: settings train-at-once all';
}

/** What is known of newer versions of a packaged application, and whether they are looked for. */
async function updatesCommand(
  values: Values,
  decision: string | undefined,
  signal: AbortSignal,
): Promise<void> {
  const home = homeOf(values);
  const updates = createUpdateService({ file: homePaths(home).updates, channel: updateChannel });
  if (decision === 'allow' || decision === 'forbid') {
    mkdirSync(home, { recursive: true });
    updates.allow(decision === 'allow');
  } else if (decision === 'look') {
    mkdirSync(home, { recursive: true });
    await updates.look(false, signal);
  }
  const found = updates.get();
  createOutput(values['json'] === true).result({ updates: found }, () => updatesText(found));
}

function updatesText({ channel, isAllowed, found, problem }: Updates): string {
  if (channel === null)
    return 'This installation names no address for newer versions, and none are looked for.';
  const file = found?.file ? `: ${found.file.url}` : '';
  return [
    `Newer versions are listed at ${channel}.`,
    ...(found
      ? [found.isNewer ? `Version ${found.version} is there${file}` : 'This is the newest version.']
      : []),
    ...(problem ? [`The last look failed: ${problem.message}`] : []),
    isAllowed
      ? 'You have agreed that an open studio reads that list once a day. Take it back with: settings updates forbid'
      : 'It is not read by itself. Agree to it with: settings updates allow. Read it now with: settings updates look',
  ].join('\n');
}

function codeText({ isAllowed, sandbox, problem }: CodeExecution): string {
  return [
    isAllowed
      ? 'You have agreed that programs which a model wrote are run, by all commands, by the queue and by the page. Take it back with: settings code-execution forbid'
      : 'Programs that a model wrote are not run. Agree to it for all commands to come, the queue and the page with: settings code-execution allow',
    sandbox
      ? `They run in a sandbox without network and without your files: ${sandbox.description}.`
      : `No sandbox works here: ${problem!.message} ${problem!.remedy}`,
  ].join('\n');
}
