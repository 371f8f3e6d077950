import type { PreferencePairs, PreferenceVote } from '../contract/evaluation/preferences.ts';
import type { Evaluation, EvaluationItem } from '../contract/results.ts';
import type { Turn } from '../contract/rows.ts';
import { regraded, type Regrade } from '../statistics/overrides.ts';
import { gradeOf } from '../statistics/scores.ts';

/** A subject's answers, with what a person said of them. */
export interface AnsweringSubject {
  evaluation: Evaluation;
  name: string;
  items: readonly EvaluationItem[];
  overrides: readonly Regrade[];
}

/** Two subjects with the votes on their answers; `a` in a vote is the first one. */
export interface AnsweringPair {
  a: AnsweringSubject;
  b: AnsweringSubject;
  votes: readonly PreferenceVote[];
}

/** A row of preference data as TRL's trainers read it; they pass over what else stands in it. */
export interface PreferenceRow {
  prompt: string | Turn[];
  chosen: string | Turn[];
  rejected: string | Turn[];
  /** Where it comes from. */
  origin: {
    source: 'blind_vote' | 'grade';
    /** A person's grade made the difference, and whether names were seen then; null: the stored grades did. */
    by_hand: 'names' | 'blind' | null;
    benchmark: string;
    item: string;
    chosen_subject: string;
    rejected_subject: string;
    chosen_evaluation: string;
    rejected_evaluation: string;
    /** Solved examples that stood before the prompt and are not in it. */
    shots: number;
    template: string | null;
  };
}

export type PairCounts = Pick<PreferencePairs, 'byVote' | 'byGrade' | 'byHand' | 'leftOut'>;

/**
 * Rows of preference data from pairs of answers in words: by a vote that has a winner, else where one answer is right
 * and the other wrong. What a person said of the pair stands before the grades; answers that are the same are no pair.
 * @param which of the two sources count
 */
export function preferenceRows(
  pairs: readonly AnsweringPair[],
  which: { votes: boolean; grades: boolean },
): { rows: PreferenceRow[]; counts: PairCounts } {
  const rows: PreferenceRow[] = [];
  const seen = new Set<string>();
  const counts: PairCounts = {
    byVote: 0,
    byGrade: 0,
    byHand: 0,
    leftOut: { undecided: 0, contradicted: 0, empty: 0, repeated: 0 },
  };
  for (const pair of pairs)
    for (const found of decided(pair, which, counts)) {
      const row = rowOf(found);
      const key = JSON.stringify([row.prompt, row.chosen, row.rejected]);
      if (found.chosen.item.output!.trim() === '') counts.leftOut.empty++;
      else if (seen.has(key)) counts.leftOut.repeated++;
      else {
        seen.add(key);
        rows.push(row);
        if (row.origin.source === 'blind_vote') counts.byVote++;
        else counts.byGrade++;
        if (row.origin.by_hand !== null) counts.byHand++;
      }
    }
  return { rows, counts };
}

interface Answer {
  subject: AnsweringSubject;
  item: EvaluationItem;
}
interface Decided {
  chosen: Answer;
  rejected: Answer;
  origin: Pick<PreferenceRow['origin'], 'source' | 'by_hand'>;
}

function* decided(
  { a, b, votes }: AnsweringPair,
  which: { votes: boolean; grades: boolean },
  { leftOut }: PairCounts,
): Generator<Decided> {
  const voted = new Map(votes.map(({ item, choice }) => [item, choice]));
  const [gradesA, gradesB] = [a, b].map(
    ({ items, overrides }) => new Map(regraded(items, overrides).map((item) => [item.id, gradeOf(item)])),
  ) as [Map<string, number | null>, Map<string, number | null>];
  const others = new Map(b.items.map((item) => [item.id, item]));
  for (const item of a.items) {
    const other = others.get(item.id);
    if (!other || item.output === null || other.output === null) continue;
    if (item.output.trim() === other.output.trim()) continue;
    const [mine, theirs] = [
      { subject: a, item },
      { subject: b, item: other },
    ];
    const choice = voted.get(item.id);
    const grades = [gradesA.get(item.id), gradesB.get(item.id)];
    const byGrade =
      grades[0] === 1 && grades[1] === 0 ? 'a' : grades[0] === 0 && grades[1] === 1 ? 'b' : null;
    if (choice === 'a' || choice === 'b') {
      if (byGrade !== null && byGrade !== choice) leftOut.contradicted++;
      if (!which.votes) continue;
      const [chosen, rejected] = choice === 'a' ? [mine, theirs] : [theirs, mine];
      yield { chosen, rejected, origin: { source: 'blind_vote', by_hand: null } };
    } else if (byGrade !== null && which.grades) {
      if (choice !== undefined) {
        leftOut.undecided++;
        continue;
      }
      const [chosen, rejected] = byGrade === 'a' ? [mine, theirs] : [theirs, mine];
      yield { chosen, rejected, origin: { source: 'grade', by_hand: byHand([mine, theirs]) } };
    }
  }
}

/** Whether a person's grade made one right and the other wrong; one in sight of names marks the pair. */
function byHand(answers: readonly Answer[]): PreferenceRow['origin']['by_hand'] {
  const said = answers.flatMap(({ subject, item }) =>
    subject.overrides.filter(
      (one) => one.item === item.id && one.grade !== null && gradeOf(item) !== Number(one.grade === 'pass'),
    ),
  );
  if (said.length === 0) return null;
  return said.some(({ seen }) => seen === 'names') ? 'names' : 'blind';
}

function rowOf({ chosen, rejected, origin }: Decided): PreferenceRow {
  const { evaluation } = chosen.subject;
  const { prompts, benchmark, shots } = evaluation;
  const question = chosen.item.question ?? '';
  const answers = [chosen.item.output!, rejected.item.output!];
  const texts = prompts?.chat
    ? {
        prompt: [
          ...(prompts.system === null ? [] : [{ role: 'system' as const, content: prompts.system }]),
          { role: 'user' as const, content: question },
        ],
        chosen: [{ role: 'assistant' as const, content: answers[0]! }],
        rejected: [{ role: 'assistant' as const, content: answers[1]! }],
      }
    : { prompt: question, chosen: answers[0]!, rejected: answers[1]! };
  return {
    ...texts,
    origin: {
      ...origin,
      benchmark,
      item: chosen.item.id,
      chosen_subject: chosen.subject.name,
      rejected_subject: rejected.subject.name,
      chosen_evaluation: evaluation.id,
      rejected_evaluation: rejected.subject.evaluation.id,
      shots,
      template: prompts?.template ?? null,
    },
  };
}
