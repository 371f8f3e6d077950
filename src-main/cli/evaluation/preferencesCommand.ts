import { procedures } from '../../contract/procedures.ts';
import type { PreferencePairs } from '../../contract/evaluation/preferences.ts';
import type { Evaluation } from '../../contract/results.ts';
import type { Core } from '../../core/createCore.ts';
import { StudioError } from '../../contract/errors.ts';
import { sameItems } from '../../evaluation/standing.ts';
import { judgedPreference, judgedPreferenceWords } from '../../statistics/preference.ts';
import { check, flag, number, parseCommand, requiredText, text, usageError } from '../arguments.ts';
import { isQueued, queueTasks } from './queueCommand.ts';
import { withCore, type CommandContext } from '../commandContext.ts';
import { formatCount } from '../output.ts';

const usage = 'preferences export RUN-or-base RUN2 ... --benchmark NAME [--out FILE.jsonl]';
const judgeUsage = 'preferences judge RUN-or-base RUN2 --benchmark NAME --judge MODEL [--judge-adapter RUN]';

/**
 * preferences export RUN RUN2 ... --benchmark B [--out FILE --votes false --grades false]; preferences judge RUN RUN2
 * --benchmark B --judge M
 */
export async function preferencesCommand(
  [action, ...args]: readonly string[],
  command: CommandContext,
): Promise<void> {
  if (action === 'judge') return judgeCommand(args, command);
  const { values, positionals } = parseCommand(args, {
    benchmark: { type: 'string' },
    out: { type: 'string' },
    votes: { type: 'string' },
    grades: { type: 'string' },
  });
  if (action !== 'export' || positionals.length < 2) throw usageError(`Usage: ${usage}`);
  const benchmark = requiredText(values, 'benchmark');
  await withCore(values, 'read', async (core, output) => {
    const input = check(
      procedures['preferences.export'].input,
      {
        evaluations: newestTogether(core, positionals, benchmark).map(({ id }) => id),
        votes: flag(values, 'votes'),
        grades: flag(values, 'grades'),
        path: text(values, 'out'),
      },
      (path) => `--${path}`,
    );
    const written = await core.handlers['preferences.export'](input, command);
    output.result(written, () => pairsText(written));
  });
}

/** Has a local judge compare stored answers of two subjects, each pair in both orders. */
async function judgeCommand(args: readonly string[], command: CommandContext): Promise<void> {
  const { values, positionals } = parseCommand(args, {
    benchmark: { type: 'string' },
    judge: { type: 'string' },
    'judge-adapter': { type: 'string' },
    limit: { type: 'string' },
    queue: { type: 'boolean' },
  });
  if (positionals.length !== 2) throw usageError(`Usage: ${judgeUsage}`);
  const benchmark = requiredText(values, 'benchmark');
  const model = requiredText(values, 'judge');
  await withCore(values, 'write', async (core, output) => {
    const [a, b] = newestTogether(core, positionals, benchmark);
    const input = check(
      procedures['judgments.start'].input,
      {
        a: a!.id,
        b: b!.id,
        judge: { model, adapter: text(values, 'judge-adapter') },
        limit: number(values, 'limit'),
      },
      (path) => `--${path.replace(/^judge\.model$/, 'judge').replace('.', '-')}`,
    );
    if (isQueued(values)) return queueTasks(core, output, [{ kind: 'judge', input }]);
    const { judge, judgments } = await core.handlers['judgments.start'](input, command);
    const found = judgedPreference(judgments.map(({ choice }) => choice));
    const [first, second] = positionals;
    output.result({ judge, pairs: judgments.length, ...found, judgments }, () =>
      judgedPreferenceWords(found, { judge: judge.name, first: first!, second: second! }).join('\n'),
    );
  });
}

/** The newest scores of all subjects on the same items. @throws StudioError not_found */
function newestTogether(
  { evaluations, runs }: Core,
  subjects: readonly string[],
  benchmark: string,
): Evaluation[] {
  const known = runs.list();
  const wanted = subjects.map((name) => ({
    name,
    runId: known.find((run) => run.name === name || run.id === name)?.id ?? null,
  }));
  const groups = new Map<string, Evaluation[]>();
  for (const evaluation of evaluations.list()) {
    if (evaluation.benchmark !== benchmark) continue;
    const key = sameItems(evaluation);
    groups.set(key, [...(groups.get(key) ?? []), evaluation]);
  }
  for (const group of groups.values()) {
    const found = wanted.flatMap(({ name, runId }) => {
      const newest = group.find((one) =>
        // The base model, or an adapter's folder.
        runId === null ? one.runId === null && one.subject === name : one.runId === runId,
      );
      return newest ? [newest] : [];
    });
    if (found.length === wanted.length) return found;
  }
  throw new StudioError(
    'not_found',
    `${subjects.join(' and ')} have no scores of ${benchmark} on the same items.`,
    'Score them first, with the same data and limit: eval, or compare for runs.',
  );
}

function pairsText(written: PreferencePairs): string {
  const { rows, byVote, byGrade, byHand, shots, leftOut, form, path } = written;
  const { undecided, contradicted, empty, repeated } = leftOut;
  const notes = [
    contradicted > 0 ? `${formatCount(contradicted)} votes are against the grades: the votes count.` : '',
    undecided > 0
      ? `${formatCount(undecided)} pairs with one right answer were called alike or both bad: left out.`
      : '',
    empty > 0 ? `${formatCount(empty)} pairs whose better answer is empty: left out.` : '',
    repeated > 0 ? `${formatCount(repeated)} pairs stand there already.` : '',
    shots > 0 ? `The ${shots} solved examples before each prompt are not in the file.` : '',
  ];
  return [
    `${path}: ${formatCount(rows)} pairs (${formatCount(byVote)} by blind votes, ${formatCount(byGrade)} by grades, ${formatCount(byHand)} of them changed by hand), ${form === 'conversational' ? 'as turns' : 'as texts'}.`,
    ...notes.filter((note) => note !== '').map((note) => `  ${note}`),
  ].join('\n');
}
