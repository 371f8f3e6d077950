import './setup/ownImports.mjs';
import { toPlainError } from './contract/errors.ts';
import { usageError } from './cli/arguments.ts';
import type { CommandContext } from './cli/commandContext.ts';

type Command = (args: readonly string[], context: CommandContext) => Promise<void>;

/** The command line: `npm run -s studio -- <command>`. Only the command that is asked for is loaded. */
const commands: Record<string, () => Promise<Command>> = {
  doctor: async () => (await import('./cli/doctorCommand.ts')).doctorCommand,
  budget: async () => (await import('./cli/budget/budgetCommand.ts')).budgetCommand,
  models: async () => (await import('./cli/libraryCommands.ts')).modelsCommand,
  adapters: async () => (await import('./cli/imports/adaptersCommand.ts')).adaptersCommand,
  projects: async () => (await import('./cli/imports/projectsCommand.ts')).projectsCommand,
  datasets: async () => (await import('./cli/datasets/datasetCommands.ts')).datasetsCommand,
  mix: async () => (await import('./cli/mixCommand.ts')).mixCommand,
  train: async () => (await import('./cli/trainCommand.ts')).trainCommand,
  study: async () => (await import('./cli/studyCommands.ts')).studyCommand,
  studies: async () => (await import('./cli/smallStudies/studiesCommand.ts')).studiesCommand,
  samples: async () => (await import('./cli/sampleSizeCommand.ts')).sampleSizeCommand,
  runs: async () => (await import('./cli/libraryCommands.ts')).runsCommand,
  eval: async () => (await import('./cli/evaluationCommands.ts')).evalCommand,
  compare: async () => (await import('./cli/evaluationCommands.ts')).compareCommand,
  report: async () => (await import('./cli/evaluation/reportCommand.ts')).reportCommand,
  grade: async () => (await import('./cli/evaluation/gradeCommand.ts')).gradeCommand,
  guards: async () => (await import('./cli/evaluation/guardsCommand.ts')).guardsCommand,
  preferences: async () => (await import('./cli/evaluation/preferencesCommand.ts')).preferencesCommand,
  queue: async () => (await import('./cli/evaluation/queueCommand.ts')).queueCommand,
  chat: async () => (await import('./cli/chat/chatCommand.ts')).chatCommand,
  generate: async () => (await import('./cli/modelCommands.ts')).generateCommand,
  logits: async () => (await import('./cli/modelCommands.ts')).logitsCommand,
  export: async () => (await import('./cli/modelCommands.ts')).exportCommand,
  push: async () => (await import('./cli/modelCommands.ts')).pushCommand,
  serve: async () => (await import('./cli/serveCommand.ts')).serveCommand,
  settings: async () => (await import('./cli/settingsCommand.ts')).settingsCommand,
  bench: async () => (await import('./cli/benchCommand.ts')).benchCommand,
  demo: async () => (await import('./cli/demoCommand.ts')).demoCommand,
};

async function main(args: readonly string[]): Promise<void> {
  const [name, ...rest] = args;
  if (name === undefined || name === 'help' || rest.includes('--help')) {
    process.stdout.write((await import('./cli/help.ts')).help);
    return;
  }
  const load = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (!load)
    throw usageError(`There is no command "${name}"; there are ${Object.keys(commands).join(', ')}.`);
  const context = interruptible();
  const command = await load();
  await command(rest, context);
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
// A pipe takes no more at a time than its reader leaves room for: ending before it has all would cut the output.
await Promise.all([process.stdout, process.stderr].map(written));
// Idle handles (an engine that still winds down) must not keep a finished command alive.
process.exit();

/** Ends once a stream has been read as far as it was written, or nobody reads it any more. */
function written(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => {
    stream.once('error', () => resolve());
    stream.write('', () => resolve());
  });
}
