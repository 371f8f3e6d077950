import type { EvaluationItem } from '../../../contract/results.ts';
import { StudioError } from '../../../contract/errors.ts';
import type { JudgedPairs, Judgment } from '../../../contract/evaluation/judgments.ts';
import type { ProcedureHandlers, ProcedureParsedInput } from '../../../contract/procedures.ts';
import { judgedChoice, pairJudge, type JudgedChoice } from '../../../evaluation/graders/judge.ts';
import { sameItems } from '../../../evaluation/standing.ts';
import { keepJudgments, listJudgments, type StoredJudgment } from '../../../store/judgments.ts';
import { findEvaluations, readEvaluationItems } from '../../../store/results.ts';
import { missing, type ServiceContext } from '../../context.ts';
import type { ModelService } from '../../models/models.ts';
import { withProgress } from '../../progress.ts';
import type { RunService } from '../../runs/runService.ts';
import { askJudge, findJudge, type LocalJudge } from './localJudge.ts';

const mirrored: Readonly<Record<JudgedChoice, JudgedChoice>> = {
  a: 'b',
  b: 'a',
  tie: 'tie',
  order: 'order',
  abstained: 'abstained',
};

/** Two answers to one question. */
interface Pair {
  item: string;
  question: string;
  a: string;
  b: string;
}

export interface JudgmentService {
  /** What each judge said so far. @throws StudioError not_found, usage */
  list(a: string, b: string): JudgedPairs[];
  start(input: ProcedureParsedInput<'judgments.start'>, signal: AbortSignal): Promise<JudgedPairs>;
}

/**
 * Judge models on pairs of stored answers. Each pair is asked in both orders: an answer wins only if it does so on both
 * sides. What was judged is kept pair by pair, so that an interrupted work goes on behind it.
 */
export function createJudgmentService(
  context: ServiceContext,
  models: ModelService,
  runs: RunService,
): JudgmentService {
  const { database } = context;

  /** The two evaluations with the lesser id first, as they are stored. @throws StudioError not_found, usage */
  function pairOf(a: string, b: string): { pair: { a: string; b: string }; isTurned: boolean } {
    const found = findEvaluations(database, context.project, [a, b]);
    const absent = [a, b].find((id) => !found.some((one) => one.id === id));
    if (absent !== undefined) throw missing('evaluation', absent, []);
    const [first, second] = found;
    if (a === b || sameItems(first!) !== sameItems(second!))
      throw new StudioError(
        'usage',
        `${first!.subject} and ${second?.subject ?? first!.subject} did not answer the same items asked in the same way.`,
        'Choose two scores with the same data, limit, shots and template.',
      );
    return { pair: a < b ? { a, b } : { a: b, b: a }, isTurned: a > b };
  }

  const shown = ({ item, choice, forward, backward }: Judgment, isTurned: boolean): Judgment =>
    isTurned
      ? { item, choice: mirrored[choice], forward: backward, backward: forward }
      : { item, choice, forward, backward };

  function listed({ pair, isTurned }: ReturnType<typeof pairOf>): JudgedPairs[] {
    const byJudge = new Map<string, JudgedPairs>();
    for (const { judge, name, version, ...judgment } of listJudgments(database, pair)) {
      const entry = byJudge.get(judge) ?? { judge: { name, identity: judge, version }, judgments: [] };
      byJudge.set(judge, entry);
      entry.judgments.push(shown(judgment, isTurned));
    }
    return [...byJudge.values()];
  }

  async function start(
    { a, b, judge: asked, limit }: ProcedureParsedInput<'judgments.start'>,
    signal: AbortSignal,
  ): Promise<JudgedPairs> {
    const both = pairOf(a, b);
    const { pair, isTurned } = both;
    context.writable();
    const judge = await findJudge(context, models, runs, asked, pairJudge.version);
    const known = new Set(
      listJudgments(database, pair).flatMap((one) => (one.judge === judge.identity ? [one.item] : [])),
    );
    const [first, second] = [
      await readEvaluationItems(database, pair.a),
      await readEvaluationItems(database, pair.b),
    ];
    const pairs = answeredPairs(first, second);
    if (pairs.length === 0)
      throw new StudioError(
        'dataset_empty',
        'No item has two answers in words that differ: there is nothing to judge.',
        'Choose two scores of a benchmark that generates answers.',
      );
    const open = pairs.slice(0, limit ?? undefined).filter(({ item }) => !known.has(item));
    await judgeAll(pair, judge, open, signal);
    const judged = listed({ pair, isTurned }).find((one) => one.judge.identity === judge.identity);
    const { name, identity, version } = judge;
    return judged ?? { judge: { name, identity, version }, judgments: [] };
  }

  async function judgeAll(
    pair: { a: string; b: string },
    judge: LocalJudge,
    open: readonly Pair[],
    signal: AbortSignal,
  ): Promise<void> {
    if (open.length === 0) return;
    // Both orders of a pair stand beside each other, so that pairs are complete as early as they can be.
    const prompts = open.flatMap(({ question, a, b }) => [
      pairJudge.ask(question, a, b),
      pairJudge.ask(question, b, a),
    ]);
    const outputs: (string | null | undefined)[] = prompts.map(() => undefined);
    let done = 0;
    await withProgress(context, `judgment ${judge.name}`, 'Starting the engine', (report) =>
      askJudge(context, judge, prompts, {
        signal,
        onEvent(event) {
          if (event.type === 'progress' && done === 0) report(event.label, event.done, event.total);
        },
        onOutput(index, output) {
          outputs[index] = output;
          const at = Math.floor(index / 2);
          const [forward, backward] = [outputs[2 * at], outputs[2 * at + 1]];
          if (forward === undefined || backward === undefined) return;
          keepJudgments(context.writable(), pair, [judgmentOf(judge, open[at]!.item, forward, backward)]);
          report('Judging pairs', ++done, open.length);
        },
      }),
    );
  }

  return { list: (a, b) => listed(pairOf(a, b)), start };
}

/** What callers ask of it. */
export const judgmentHandlers = (judgments: JudgmentService) =>
  ({
    'judgments.list': ({ a, b }) => judgments.list(a, b),
    'judgments.start': (input, { signal }) => judgments.start(input, signal),
  }) satisfies Partial<ProcedureHandlers>;

function judgmentOf(
  { identity, name, version }: LocalJudge,
  item: string,
  forward: string | null,
  backward: string | null,
): StoredJudgment {
  const choice = forward === null || backward === null ? 'abstained' : judgedChoice(forward, backward);
  return { judge: identity, name, version, item, choice, forward, backward };
}

/** Items to which both have an answer in words, and not the same one. */
function answeredPairs(first: readonly EvaluationItem[], second: readonly EvaluationItem[]): Pair[] {
  const others = new Map(second.map((item) => [item.id, item.output]));
  return first.flatMap(({ id, question, output }): Pair[] => {
    const other = others.get(id) ?? null;
    if (output === null || other === null || output.trim() === other.trim()) return [];
    return [{ item: id, question: question ?? id, a: output, b: other }];
  });
}
