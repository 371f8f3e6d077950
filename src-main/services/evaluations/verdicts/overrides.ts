import { createHash } from 'node:crypto';
import type { Override, Overrides } from '../../../contract/evaluation/overrides.ts';
import { StudioError } from '../../../contract/errors.ts';
import type { ProcedureHandlers } from '../../../contract/procedures.ts';
import type { Evaluation, EvaluationItem } from '../../../contract/results.ts';
import { regradeCounts, regraded } from '../../../statistics/overrides.ts';
import { groupScores, itemSums, scoreInterval, scoreOf } from '../../../statistics/scores.ts';
import {
  insertOverride,
  listOverrides,
  undoOverride,
  type StoredOverride,
} from '../../../store/overrides.ts';
import { findEvaluations, readEvaluationItems } from '../../../store/results.ts';
import type { ReadableDatabase } from '../../../store/database.ts';
import { missing, type ServiceContext } from '../../context.ts';

/** What was asked and answered: a person's grade is of this, not of whatever is answered another time. */
export function answerHash({ question, target, answer, output, outputs }: EvaluationItem): string {
  return createHash('sha256')
    .update(JSON.stringify([question, target, answer, output, outputs]))
    .digest('hex');
}

/** What was said of the answers that are there, the oldest first. */
function saidOf(
  database: ReadableDatabase,
  evaluationId: string,
  items: readonly EvaluationItem[],
): StoredOverride[] {
  const stored = listOverrides(database, evaluationId);
  if (stored.length === 0) return [];
  const wanted = new Set(stored.map(({ item }) => item));
  const hashes = new Map<string, string>();
  for (const item of items) if (wanted.has(item.id)) hashes.set(item.id, answerHash(item));
  return stored.filter(({ item, answer }) => hashes.get(item) === answer);
}

/** Of each item what was said last and not taken back; nothing where that gives the stored grade back. */
function currentOf(said: readonly StoredOverride[]): StoredOverride[] {
  const last = new Map<string, StoredOverride>();
  for (const one of said) if (one.undoneAt === null) last.set(one.item, one);
  return [...last.values()].filter(({ grade, comment }) => grade !== null || comment !== '');
}

/** What a person's words come to for an evaluation's items. */
export function currentOverrides(
  database: ReadableDatabase,
  evaluationId: string,
  items: readonly EvaluationItem[],
): StoredOverride[] {
  return currentOf(saidOf(database, evaluationId, items));
}

export function overrideHandlers(context: ServiceContext) {
  const { database } = context;

  function find(reference: string): Evaluation {
    const [evaluation] = findEvaluations(database, context.project, [reference]);
    if (evaluation) return evaluation;
    throw missing('evaluation', reference, []);
  }

  async function list(reference: string): Promise<Overrides> {
    const { id, n } = find(reference);
    const items = await readEvaluationItems(database, id);
    const said = saidOf(database, id, items);
    const current = currentOf(said);
    const counts = regradeCounts(items, current);
    const after = regraded(items, current);
    const sums = itemSums(after);
    return {
      current: current.map(shown),
      history: said.map(shown).reverse(),
      score:
        counts.changed === 0
          ? null
          : { score: scoreOf(sums, n), interval: scoreInterval(sums, n, groupScores(after)), ...counts },
    };
  }

  async function itemOf(reference: string, id: string): Promise<EvaluationItem> {
    const items = await readEvaluationItems(database, find(reference).id);
    const item = items.find((one) => one.id === id);
    if (item) return item;
    throw missing(
      'item',
      id,
      items.slice(0, 20).map((one) => one.id),
    );
  }

  return {
    'overrides.list': ({ evaluation }) => list(evaluation),
    async 'overrides.keep'({ evaluation, item: id, grade, comment, seen }) {
      const item = await itemOf(evaluation, id);
      if (grade !== null && item.loss !== null)
        throw new StudioError(
          'usage',
          `Item ${id} has a loss and no grade: it can be neither right nor wrong.`,
          'Leave a comment, or grade an answer of another benchmark.',
        );
      insertOverride(context.writable(), evaluation, {
        item: id,
        answer: answerHash(item),
        grade,
        comment: comment.trim(),
        seen,
        createdAt: new Date().toISOString(),
      });
      return list(evaluation);
    },
    async 'overrides.undo'({ evaluation, item: id }) {
      const answer = answerHash(await itemOf(evaluation, id));
      const last = listOverrides(database, evaluation).findLast(
        (one) => one.item === id && one.answer === answer && one.undoneAt === null,
      );
      if (!last)
        throw new StudioError(
          'not_found',
          `Nothing was said of item ${id} that could be taken back.`,
          'Its stored grade stands.',
        );
      undoOverride(context.writable(), last.id, new Date().toISOString());
      return list(evaluation);
    },
  } satisfies Partial<ProcedureHandlers>;
}

function shown({ answer: _answer, ...override }: StoredOverride): Override {
  return override;
}
