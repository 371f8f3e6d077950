import type { Guard } from '../../contract/evaluation/guards.ts';
import { procedures } from '../../contract/procedures.ts';
import { check, only, parseCommand, text, usageError } from '../arguments.ts';
import { benchmarkOptions, benchmarkSettings } from '../benchmarkArguments.ts';
import { isQueued, queueTasks } from './queueCommand.ts';
import { withCore, type CommandContext } from '../commandContext.ts';
import { formatScore, formatTable } from '../output.ts';

const usage = 'guards RUN --text FILE [--refusal FILE] [--benchmark NAME,... --path FILE] [--checkpoints]';

/** guards RUN --text FILE --refusal FILE --benchmark B,... [--path DATA --limit N ...] [--checkpoints] */
export async function guardsCommand(args: readonly string[], command: CommandContext): Promise<void> {
  const { values, positionals } = parseCommand(args, {
    ...benchmarkOptions,
    text: { type: 'string' },
    refusal: { type: 'string' },
    checkpoints: { type: 'boolean' },
    queue: { type: 'boolean' },
  });
  const run = only(positionals, usage);
  const limits = benchmarkSettings({ ...values, benchmark: 'perplexity,refusal', path: undefined });
  const files = [text(values, 'text'), text(values, 'refusal')];
  const guards = [
    ...limits.flatMap((settings, i) =>
      files[i] === undefined ? [] : [{ ...settings, data: { path: files[i] } }],
    ),
    ...(values['benchmark'] === undefined ? [] : benchmarkSettings(values)),
  ];
  if (guards.length === 0) throw usageError(`Usage: ${usage}`);
  const input = check(
    procedures['guards.check'].input,
    { run, guards, checkpoints: values['checkpoints'] === true },
    (path) => `--${path.replace(/^guards\.\d+\./, '')}`,
  );
  await withCore(values, 'write', async (core, output) => {
    const { handlers, grading } = core;
    if (isQueued(values)) return queueTasks(core, output, [{ kind: 'guards', input }]);
    if (values['allow-code-execution'] === true) grading.allowForNow();
    const report = await handlers['guards.check'](input, command);
    output.result(report, () => report.guards.map(guardText).join('\n\n'));
  });
}

function guardText({ sentence, refusal, overlap, best, checkpoints, comparison }: Guard): string {
  const halves = [refusal?.unsafe, refusal?.safe].flatMap((half) => (half ? [half.sentence] : []));
  const table = formatTable(
    ['step', 'score (95 %)'],
    checkpoints.map(({ step, evaluation: { metric, score, interval }, isBest }) => [
      `${step}${isBest ? ' *' : ''}`,
      formatScore(metric, score, interval),
    ]),
  );
  return [
    sentence,
    ...halves.map((line) => `  ${line}`),
    ...(overlap ? [`  ${overlap.sentence}`] : []),
    ...comparison.notes.map((line) => `  ${line}`),
    ...(best === null ? [] : [`  ${best}`, table]),
  ].join('\n');
}
