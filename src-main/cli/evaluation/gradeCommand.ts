import { humanEvalInput, type HumanEvalReport } from '../../contract/evaluation/grading.ts';
import { gradeHumanEval, readHumanEval, readSamples } from '../../evaluation/graders/humanEval.ts';
import { findSandbox } from '../../evaluation/sandbox/findSandbox.ts';
import { isCodeAllowed } from '../../evaluation/sandbox/consent.ts';
import { describeSandbox } from '../../services/evaluations/grading.ts';
import { homePaths } from '../../services/homePaths.ts';
import { check, list, number, only, parseCommand, requiredText, usageError } from '../arguments.ts';
import { homeOf, type CommandContext } from '../commandContext.ts';
import { createOutput, formatScore, formatTable } from '../output.ts';

const usage = 'grade humaneval --path HumanEval.jsonl.gz --samples FILE.jsonl --allow-code-execution';

/** Between two lines of progress. */
const intervalMs = 1000;

/** grade humaneval --path DATA --samples FILE --allow-code-execution [--k 1,5,10 --timeout SECONDS] */
export async function gradeCommand(args: readonly string[], { signal }: CommandContext): Promise<void> {
  const { values, positionals } = parseCommand(args, {
    path: { type: 'string' },
    samples: { type: 'string' },
    k: { type: 'string' },
    timeout: { type: 'string' },
    'allow-code-execution': { type: 'boolean' },
  });
  const benchmark = only(positionals, usage);
  if (benchmark !== 'humaneval')
    throw usageError(`There is nothing to grade for "${benchmark}"; there is humaneval.`);
  const input = check(
    humanEvalInput,
    {
      path: requiredText(values, 'path'),
      samples: requiredText(values, 'samples'),
      k: list(values, 'k')?.map(Number),
      timeoutSeconds: number(values, 'timeout'),
    },
    (path) => `--${path.startsWith('k.') ? 'k' : path === 'timeoutSeconds' ? 'timeout' : path}`,
  );
  const tasks = readHumanEval(input.path);
  const samples = readSamples(input.samples, tasks);
  if (values['allow-code-execution'] !== true && !isCodeAllowed(homePaths(homeOf(values)).codeExecution)) {
    const { sandbox, problem } = await describeSandbox(signal);
    throw usageError(
      `This runs ${samples.length} programs on this machine that a model wrote (${input.samples}), ${sandbox ? `in a sandbox without network and files: ${sandbox.description}` : `for which it has no sandbox: ${problem!.message}`}`,
      sandbox
        ? 'Add --allow-code-execution to agree to that, or agree once for all: settings code-execution allow'
        : problem!.remedy,
    );
  }
  const output = createOutput(values['json'] === true);
  const sandbox = await findSandbox(signal);
  output.progress(`HumanEval: ${samples.length} programs in ${sandbox.description}`);
  let last = Date.now();
  const report = await gradeHumanEval(sandbox, tasks, samples, {
    k: input.k,
    timeoutSeconds: input.timeoutSeconds,
    signal,
    onProgress(done, total) {
      if (Date.now() - last < intervalMs) return;
      last = Date.now();
      output.progress(`HumanEval: ${done} of ${total} programs`);
    },
  });
  output.result(asPrinted(report), () => describe(report));
}

/** Tasks are named as in the benchmark's own files. */
function asPrinted({ tasks, samples, ...report }: HumanEvalReport) {
  const named = <T extends { taskId: string }>({ taskId, ...rest }: T) => ({ task_id: taskId, ...rest });
  return { ...report, tasks: tasks.map(named), samples: samples.map(named) };
}

/** The scores, and what went wrong with each completion that did not pass: its last line. */
function describe({ passAtK, samples, tasks, sandbox }: HumanEvalReport): string {
  const wrong = samples.filter(({ passed }) => !passed);
  const scores = passAtK.map(({ k, score, interval, reason }) =>
    score === null || interval === null
      ? `pass@${k}: not given. ${reason ?? ''}`
      : `pass@${k}: ${formatScore('accuracy', score, interval)}, the mean over ${tasks.length} tasks`,
  );
  const table = formatTable(
    ['task', 'line', 'outcome', 'why'],
    wrong.map(({ taskId, line, outcome, error }) => [
      taskId,
      String(line),
      outcome,
      (error ?? '').split('\n').at(-1)!.slice(0, 80),
    ]),
  );
  return [
    ...(wrong.length > 0 ? [table, ''] : []),
    `${samples.length - wrong.length} of ${samples.length} completions passed (${sandbox.description}).`,
    ...scores,
  ].join('\n');
}
