import { toPlainError } from './contract/errors.ts';
import { usageError } from './cli/arguments.ts';
import { benchCommand } from './cli/benchCommand.ts';
import { budgetCommand } from './cli/budget/budgetCommand.ts';
import { chatCommand } from './cli/chat/chatCommand.ts';
import type { CommandContext } from './cli/commandContext.ts';
import { demoCommand } from './cli/demoCommand.ts';
import { doctorCommand } from './cli/doctorCommand.ts';
import { compareCommand, evalCommand } from './cli/evaluationCommands.ts';
import { datasetsCommand } from './cli/datasets/datasetCommands.ts';
import { adaptersCommand } from './cli/imports/adaptersCommand.ts';
import { projectsCommand } from './cli/imports/projectsCommand.ts';
import { modelsCommand, runsCommand } from './cli/libraryCommands.ts';
import { mixCommand } from './cli/mixCommand.ts';
import { exportCommand, generateCommand, logitsCommand, pushCommand } from './cli/modelCommands.ts';
import { sampleSizeCommand } from './cli/sampleSizeCommand.ts';
import { gradeCommand } from './cli/evaluation/gradeCommand.ts';
import { guardsCommand } from './cli/evaluation/guardsCommand.ts';
import { queueCommand } from './cli/evaluation/queueCommand.ts';
import { preferencesCommand } from './cli/evaluation/preferencesCommand.ts';
import { reportCommand } from './cli/evaluation/reportCommand.ts';
import { help } from './cli/help.ts';
import { serveCommand } from './cli/serveCommand.ts';
import { studyCommand } from './cli/studyCommands.ts';
import { trainCommand } from './cli/trainCommand.ts';

/** The command line: `npm run -s studio -- <command>`. */
const commands: Record<string, (args: readonly string[], context: CommandContext) => Promise<void>> = {
  doctor: doctorCommand,
  budget: budgetCommand,
  models: modelsCommand,
  adapters: adaptersCommand,
  projects: projectsCommand,
  datasets: datasetsCommand,
  mix: mixCommand,
  train: trainCommand,
  study: studyCommand,
  samples: sampleSizeCommand,
  runs: runsCommand,
  eval: evalCommand,
  compare: compareCommand,
  report: reportCommand,
  grade: gradeCommand,
  guards: guardsCommand,
  preferences: preferencesCommand,
  queue: queueCommand,
  chat: chatCommand,
  generate: generateCommand,
  logits: logitsCommand,
  export: exportCommand,
  push: pushCommand,
  serve: serveCommand,
  bench: benchCommand,
  demo: demoCommand,
};

async function main(args: readonly string[]): Promise<void> {
  const [name, ...rest] = args;
  if (name === undefined || name === 'help' || rest.includes('--help')) {
    process.stdout.write(help);
    return;
  }
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (!command)
    throw usageError(`There is no command "${name}"; there are ${Object.keys(commands).join(', ')}.`);
  await command(rest, interruptible());
}

/** First Ctrl+C: the command's listener, if it has one; second: everything ends. */
function interruptible(): CommandContext {
  const controller = new AbortController();
  let listener: (() => void) | null = null;
  const interrupt = () => {
    const first = listener;
    listener = null;
    if (first) first();
    else {
      controller.abort();
      setTimeout(() => process.exit(130), 500).unref();
    }
  };
  process.on('SIGINT', interrupt);
  process.on('SIGTERM', interrupt);
  return {
    signal: controller.signal,
    onInterrupt: (given) => {
      listener = given;
    },
  };
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  const found = toPlainError(error);
  // What the page offers as a button is an option here.
  const option = found.code === 'does_not_fit' ? ' Or start it anyway: --force.' : '';
  const plain = { ...found, remedy: `${found.remedy}${option}` };
  if (process.argv.includes('--json')) process.stdout.write(`${JSON.stringify({ error: plain })}\n`);
  else process.stderr.write(`Error: ${plain.message}\n${plain.remedy}\n`);
  if (plain.code === 'internal' && error instanceof Error) process.stderr.write(`${error.stack ?? ''}\n`);
  process.exitCode = plain.code === 'usage' ? 2 : 1;
}
// Idle handles (an engine that still winds down) must not keep a finished command alive.
process.exit();
