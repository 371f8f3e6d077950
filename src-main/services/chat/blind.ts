import { randomInt } from 'node:crypto';
import { StudioError } from '../../contract/errors.ts';
import type { Chat, ChatBlind, ChatChoice } from '../../contract/evaluation/chat.ts';
import { createRandom } from '../../statistics/random.ts';
import { newId } from '../context.ts';

/** A chat whose names are hidden from now on: what was said before tells nobody's, as another conversation begins. */
export function hidden({ blind, columns }: Chat): ChatBlind {
  const begun = blind ?? {
    isOn: true,
    // What nobody can foresee; it is kept, so that the orders can be drawn again.
    seed: randomInt(2 ** 31),
    draws: 0,
    order: columns.map((_, column) => column),
    votes: [],
  };
  return afterRewind({ ...begun, isOn: true }, 0);
}

/**
 * Of a conversation all but the first turns are taken back: their votes stay counted. One that begins anew has columns
 * in another order.
 */
export function afterRewind(blind: ChatBlind, turns: number): ChatBlind {
  const votes = blind.votes.map((vote) =>
    vote.turn !== null && vote.turn >= turns ? { ...vote, turn: null } : vote,
  );
  if (turns > 0) return { ...blind, votes };
  const draws = blind.draws + 1;
  const columns = blind.order.map((_, column) => column);
  return { ...blind, votes, draws, order: createRandom(blind.seed + draws).shuffle(columns) };
}

/**
 * A person's choice among the answers of a turn, in place of an earlier one; null takes it back.
 * @throws StudioError usage where names are seen, or not all columns have answered
 */
export function withVote(
  { blind, turns, columns }: Chat,
  turn: number,
  choice: ChatChoice | null,
): ChatBlind {
  const answers = turns[turn]?.answers;
  const isColumn = choice === null || typeof choice === 'string' || choice.column < columns.length;
  if (!blind?.isOn || !isColumn || !answers?.every(({ end }) => end !== null))
    throw new StudioError(
      'usage',
      'Answers are judged while names are hidden, and when all columns have answered.',
      'Hide the names, put a prompt, and say then which answer is best.',
    );
  const before = blind.votes.find((vote) => vote.turn === turn);
  const others = blind.votes.filter((vote) => vote !== before);
  if (choice === null) return { ...blind, votes: others };
  const vote = { id: before?.id ?? newId(), turn, choice, createdAt: new Date().toISOString() };
  return { ...blind, votes: [...others, vote] };
}
