import type { Evaluation } from '../contract/results.ts';
import type { Comparison, ComparisonOutcome, Ranking } from '../contract/evaluation/comparison.ts';
import { sidesOf, type Settling } from '../contract/evaluation/settling.ts';
import { procedures } from '../contract/procedures.ts';
import type { Core } from '../core/createCore.ts';
import { judgeBenchmarks } from '../evaluation/compare.ts';
import { isNearZero } from '../evaluation/verdict.ts';
import { overriddenWords } from '../statistics/overrides.ts';
import { leakWarning } from '../statistics/scores.ts';
import { check, parseCommand, parseOptions, requiredText, text, usageError } from './arguments.ts';
import { benchmarkOptions, benchmarkSettings } from './benchmarkArguments.ts';
import { isQueued, queueTasks } from './evaluation/queueCommand.ts';
import { withCore, type CommandContext } from './commandContext.ts';
import { formatBytes, formatCount, formatScore, formatTable } from './output.ts';

const optionOf = (path: string) =>
  `--${path
    .replace(/^judge\.model$/, 'judge')
    .replace('.', '-')
    .replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;

/** eval --model M [--adapter A] --benchmark gsm8k,perplexity [--path DATA or gsm8k=DATA --limit N --shots N --chat] */
export async function evalCommand(args: readonly string[], command: CommandContext): Promise<void> {
  const values = parseOptions(args, {
    ...benchmarkOptions,
    model: { type: 'string' },
    adapter: { type: 'string' },
    queue: { type: 'boolean' },
  });
  const inputs = benchmarkSettings(values).map((settings) =>
    check(
      procedures['evaluations.start'].input,
      {
        model: requiredText(values, 'model'),
        adapter: text(values, 'adapter'),
        ...settings,
        precision: text(values, 'precision'),
      },
      optionOf,
    ),
  );
  await withCore(values, 'write', async (core, output) => {
    const { evaluations, grading } = core;
    if (isQueued(values))
      return queueTasks(
        core,
        output,
        inputs.map((input) => ({ kind: 'score', input })),
      );
    if (values['allow-code-execution'] === true) grading.allowForNow();
    const done: Evaluation[] = [];
    for (const input of inputs) {
      const { forecast, isKnown, fit } = await evaluations.forecast(input, command.signal);
      if (!isKnown)
        output.progress(
          `${input.benchmark}: ${formatCount(forecast.items)} items, about ${Math.ceil(forecast.seconds)} s and ${formatBytes(Math.round(forecast.memoryBytes))} of memory${fit === 'too_large' ? ', more than this machine has' : ''}`,
        );
      done.push(await evaluations.start(input, command.signal));
    }
    const items = await Promise.all(done.map(({ id }) => evaluations.items(id)));
    output.result(
      {
        benchmarks: done.map(
          ({ benchmark, version, shots, n, score, interval, dataPath, subject, seed, ...rest }, i) => ({
            benchmark,
            version,
            shots,
            n,
            score,
            interval,
            subject,
            data: dataPath,
            seed,
            groups: rest.groups,
            otherScores: rest.otherScores,
            passAtK: rest.passAtK,
            sandbox: rest.sandbox,
            judge: rest.judge,
            cutAnswers: rest.cutAnswers,
            prompts: rest.prompts,
            leak: rest.leak,
            forecast: rest.forecast,
            measured: rest.measured,
            items: items[i],
          }),
        ),
      },
      () => describe(done),
    );
  });
}

/** One line per evaluation, and what must be said about it. */
export function describe(done: readonly Evaluation[]): string {
  const table = formatTable(
    ['benchmark', 'subject', 'n', 'shots', 'score (95 %)', 'data'],
    done.map((e) => [
      e.benchmark,
      e.subject,
      String(e.n),
      String(e.shots),
      formatScore(e.metric, e.score, e.interval),
      e.dataPath,
    ]),
  );
  const leaks = done.flatMap(leakWarning);
  const more = done.flatMap(furtherScores);
  const poor = done.some((e) => e.metric === 'accuracy' && isNearZero(e.score, e.interval[1]));
  return [
    table,
    ...more,
    ...(poor ? ['Accuracy is near 0: this benchmark is beyond the model.'] : []),
    ...leaks,
  ].join('\n');
}

/** Scores by other grades and by group, and what limits them. */
function furtherScores(evaluation: Evaluation): string[] {
  const { benchmark, n, groups, otherScores, cutAnswers, sums, prompts, passAtK, judge } = evaluation;
  const share = (right: number, of: number) => `${((100 * right) / of).toFixed(1)} %`;
  const ungraded = sums === null || sums.kind === 'loss' ? 0 : sums.ungraded;
  return [
    ...otherScores.map(({ name, right }) => `${benchmark}, ${name}: ${share(right, n)} of ${n}`),
    ...groups.map(({ name, n: of, right }) => `${benchmark}, ${name}: ${share(right, of)} of ${of}`),
    ...(passAtK ?? []).flatMap(({ k, score, interval }) =>
      score === null || interval === null
        ? []
        : [
            `${benchmark}, pass@${k}: ${(100 * score).toFixed(1)} % (${interval.map((bound) => (100 * bound).toFixed(1)).join(' to ')} %)`,
          ],
    ),
    ...(ungraded > 0
      ? [
          `${benchmark}: ${ungraded} of ${n} items could not be graded; the interval takes them as all wrong or all right.`,
        ]
      : []),
    ...(judge
      ? [
          `${benchmark}: judged by ${judge.name} (${judge.version}), which gave no verdict on ${judge.abstained} of ${n} items.`,
        ]
      : []),
    ...(cutAnswers
      ? [`${benchmark}: ${cutAnswers} of ${n} answers were cut off at their greatest length.`]
      : []),
    ...(prompts?.cut
      ? [`${benchmark}: ${prompts.cut} of ${n} prompts lost their begin to fit the context.`]
      : []),
  ];
}

/** compare RUN RUN2 ... --benchmark B */
export async function compareCommand(args: readonly string[], command: CommandContext): Promise<void> {
  const { values, positionals } = parseCommand(args, {
    ...benchmarkOptions,
    queue: { type: 'boolean' },
    settle: { type: 'boolean' },
  });
  if (positionals.length < 2) throw usageError('compare needs at least two runs.');
  const inputs = benchmarkSettings(values).map((settings) =>
    check(procedures['evaluations.compare'].input, { runs: positionals, ...settings }, optionOf),
  );
  await withCore(values, 'write', async (core, output) => {
    const { evaluations, grading } = core;
    if (isQueued(values))
      return queueTasks(
        core,
        output,
        inputs.map((input) => ({ kind: 'compare', input })),
      );
    if (values['allow-code-execution'] === true) grading.allowForNow();
    const done = [];
    for (const input of inputs) done.push(await evaluations.compare(input, command.signal));
    const judged = judgeBenchmarks(done);
    const plans = await settlingOf(core, judged, command, values['settle'] === true);
    const all = {
      evaluations: judged.flatMap((result) => result.evaluations),
      comparisons: judged.flatMap((result) => result.comparisons),
      rankings: judged.map(({ ranking }) => ranking),
      arms: judged.flatMap(({ arms }) => arms ?? []),
      overridden: judged.flatMap(({ overridden }) => overridden ?? []),
      settling: [...plans].map(([{ benchmark, a, b }, plan]) => ({ benchmark, a, b, ...plan })),
    };
    // What it comes to stands first, the scores behind it.
    output.result(all, () =>
      [...judged.map((one) => outcomeText(one, plans)), describe(all.evaluations)].join('\n\n'),
    );
  });
}

/** What a benchmark says by its stored grades, and beside it with those that a person gave. */
function outcomeText({ overridden, ...stored }: ComparisonOutcome, plans: Plans): string {
  if (overridden === null) return comparedText(stored, plans);
  const anew = comparedText(overridden, plans);
  return [comparedText(stored, plans), `${overriddenWords(overridden)}:`, anew].join('\n\n');
}

/** What would settle each pair that is open. */
type Plans = ReadonlyMap<Comparison, Settling>;

/** @param isWanted puts it into the queues, too */
async function settlingOf(
  { handlers }: Pick<Core, 'handlers'>,
  outcomes: readonly ComparisonOutcome[],
  command: CommandContext,
  isWanted: boolean,
): Promise<Plans> {
  const plans = new Map<Comparison, Settling>();
  for (const { evaluations, arms, ...single } of outcomes)
    for (const part of arms ? [arms, single] : [single])
      for (const comparison of part.comparisons) {
        if (comparison.verdict !== 'cannot_tell') continue;
        const input = { comparison, ...sidesOf(part, comparison, evaluations) };
        const plan = isWanted
          ? (await handlers['scoring.settle'](input, command)).plan
          : await handlers['evaluations.settle'](input, command);
        plans.set(comparison, plan);
      }
  return plans;
}

/** What a benchmark says of all runs, first as settings where runs differ by their seed alone; then each pair. */
function comparedText(
  { arms, ...runs }: Pick<ComparisonOutcome, 'comparisons' | 'ranking' | 'arms'>,
  plans: Plans,
): string {
  return (arms ? [arms, runs] : [runs])
    .map(({ ranking, comparisons }) => {
      const isShared = (line: string) =>
        comparisons.every(({ warnings, notes }) => warnings.includes(line) || notes.includes(line));
      const shared = comparisons[0]
        ? [...comparisons[0].warnings, ...comparisons[0].notes].filter(isShared)
        : [];
      const pairs = comparisons.flatMap((comparison) =>
        comparisonText(comparison, new Set(shared), plans.get(comparison)),
      );
      return [...rankingText(ranking), ...pairs, ...shared.map((line) => `  ${line}`)].join('\n');
    })
    .join('\n\n');
}

/** The order of more than two with what it is worth; of two their verdict says all. */
function rankingText({ sentence, metric, subjects }: Ranking): string[] {
  if (subjects.length < 3) return [];
  const show = (value: number) => (metric === 'mean_loss' ? value.toFixed(3) : (100 * value).toFixed(1));
  const table = formatTable(
    [
      'subject',
      metric === 'mean_loss' ? 'mean loss (95 %)' : 'score, % (95 %)',
      'items',
      'seeds',
      'not told apart',
    ],
    subjects.map(({ name, score, interval: [low, high], n, seeds, letters }) => [
      name,
      score === null ? 'none graded' : `${show(score)} (${show(low)} to ${show(high)})`,
      String(n),
      seeds.join(', '),
      letters.join(' '),
    ]),
  );
  return [sentence, '', table, 'Subjects that share a letter are not told apart.', ''];
}

/** The verdict, what would settle it, what else may be its reason, and how to read its figures, said once of all. */
function comparisonText(
  { sentence, outlook, confounders, warnings, notes }: Comparison,
  shared: ReadonlySet<string>,
  plan: Settling | undefined,
): string[] {
  return [
    sentence,
    ...(outlook === null ? [] : [`  ${outlook}`]),
    ...(plan ? [`  What would settle it: ${plan.sentence}`] : []),
    ...(confounders.length > 0 ? [`  What else differs: ${confounders.join('; ')}.`] : []),
    ...[...warnings, ...notes].filter((line) => !shared.has(line)).map((line) => `  ${line}`),
  ];
}
