import type { PreferenceChoice, PreferenceVote } from '../../contract/evaluation/preferences.ts';
import { StudioError } from '../../contract/errors.ts';
import type { ProcedureHandlers } from '../../contract/procedures.ts';
import type { ReadableDatabase } from '../../store/database.ts';
import { dropVote, keepVote, listVotes, type JudgedPair } from '../../store/preferences.ts';
import { findEvaluations } from '../../store/results.ts';
import { missing, type ServiceContext } from '../context.ts';

const mirrored: Readonly<Record<PreferenceChoice, PreferenceChoice>> = {
  a: 'b',
  b: 'a',
  tie: 'tie',
  both_bad: 'both_bad',
};

function turned(vote: PreferenceVote, isTurned: boolean): PreferenceVote {
  return isTurned ? { ...vote, choice: mirrored[vote.choice] } : vote;
}

/** Votes on the answers of two evaluations, in whichever order they were judged; `a` is the first one given. */
export function votesBetween(database: ReadableDatabase, a: string, b: string): PreferenceVote[] {
  return listVotes(database, a < b ? { a, b } : { a: b, b: a }).map((vote) => turned(vote, a > b));
}

/** Votes of a person on pairs of answers. A pair is the same one in either order. */
export function preferenceHandlers(context: ServiceContext) {
  const { database } = context;

  /** The pair as it is stored, and whether it was asked for the other way around. */
  function pairOf(a: string, b: string): { pair: JudgedPair; isTurned: boolean } {
    const found = findEvaluations(database, context.project, [a, b]);
    const absent = [a, b].find((id) => !found.some((evaluation) => evaluation.id === id));
    if (absent !== undefined)
      throw missing(
        'evaluation',
        absent,
        found.map(({ id }) => id),
      );
    if (a === b)
      throw new StudioError(
        'usage',
        'A score cannot be judged against itself.',
        'Choose two scores on the same items.',
      );
    return { pair: a < b ? { a, b } : { a: b, b: a }, isTurned: a > b };
  }

  const list = ({ pair, isTurned }: ReturnType<typeof pairOf>) =>
    listVotes(database, pair).map((vote) => turned(vote, isTurned));

  return {
    'preferences.list': ({ a, b }) => list(pairOf(a, b)),
    'preferences.keep': ({ a, b, item, choice, seed }) => {
      const judged = pairOf(a, b);
      const vote = { item, seed, createdAt: new Date().toISOString() };
      if (choice === null) dropVote(context.writable(), judged.pair, item);
      else keepVote(context.writable(), judged.pair, turned({ ...vote, choice }, judged.isTurned));
      return list(judged);
    },
  } satisfies Partial<ProcedureHandlers>;
}
