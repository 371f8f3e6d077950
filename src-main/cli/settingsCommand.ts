import { mkdirSync } from 'node:fs';
import type { CodeExecution } from '../contract/evaluation/grading.ts';
import { StudioError } from '../contract/errors.ts';
import { isCodeAllowed, keepConsent } from '../evaluation/sandbox/consent.ts';
import { describeSandbox } from '../services/evaluations/grading.ts';
import { homePaths } from '../services/homePaths.ts';
import { parseCommand, usageError } from './arguments.ts';
import { homeOf, type CommandContext } from './commandContext.ts';
import { createOutput } from './output.ts';

const usage = 'settings [code-execution [allow|forbid]]';

/**
 * settings [code-execution [allow|forbid]]: what is kept of the user's decisions. Beside an open studio, too: it asks
 * the same file whenever something is to be run.
 */
export async function settingsCommand(args: readonly string[], { signal }: CommandContext): Promise<void> {
  const { values, positionals } = parseCommand(args, {});
  const [name, decision, ...rest] = positionals;
  if (name !== undefined && name !== 'code-execution')
    throw usageError(`There is no setting "${name}"; there is code-execution.`, `Usage: ${usage}`);
  if (rest.length > 0 || (decision !== undefined && decision !== 'allow' && decision !== 'forbid'))
    throw usageError(`Usage: ${usage}`);
  const home = homeOf(values);
  const paths = homePaths(home);
  const found = await describeSandbox(signal);
  if (decision === 'allow') {
    // Nobody can agree to what the studio cannot keep.
    if (found.problem) throw new StudioError('sandbox_missing', found.problem.message, found.problem.remedy);
    mkdirSync(home, { recursive: true });
  }
  if (decision !== undefined) keepConsent(paths.codeExecution, decision === 'allow');
  const codeExecution: CodeExecution = { isAllowed: isCodeAllowed(paths.codeExecution), ...found };
  createOutput(values['json'] === true).result({ codeExecution }, () => codeText(codeExecution));
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
