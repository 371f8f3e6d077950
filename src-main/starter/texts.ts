import { createDraws, type Draws, type Splits } from './draws.ts';
import { creatureFacts, creatureQuestions, placements } from './topics/creatures.ts';
import { calculations, countingStories, wordProblems } from './topics/numbers.ts';
import { expressions, functionTasks, programs } from './topics/python.ts';
import { meanings, requests } from './topics/requests.ts';

/** What the starter model reads, and the tasks that it has never seen. All of it follows from a seed. */

/** Kinds of text with their shares of the documents. */
const kinds: readonly { share: number; write: (draws: Draws) => string }[] = [
  { share: 18, write: calculations },
  { share: 20, write: countingStories },
  { share: 10, write: creatureFacts },
  { share: 32, write: placements },
  { share: 9, write: expressions },
  { share: 3, write: programs },
  { share: 6, write: meanings },
  { share: 2, write: wordLists },
];
/** Words that the tasks need and texts rarely have, so that none is met there for the first time. */
const rareWords =
  'Question: Answer: How many Which Where What does do have now together? Tell me Explain somebody how to want need I The following are multiple choice questions (with answers) about colors homes foods def return Return whether than A. B. C. D. First Then #### """ .""" : ? ('.split(
    ' ',
  );

/** Words without a sense, each line of a document in its own order. */
function wordLists(draws: Draws): string {
  return Array.from({ length: 3 }, () => draws.some(rareWords, 14).join(draws.pick([' ', '\n']))).join('\n');
}

const shares = kinds.reduce((sum, { share }) => sum + share, 0);

/** Documents of general text. None has the form of a task. */
export function generalTexts(seed: number, count: number): string[] {
  return Array.from({ length: count }, (_, i) => {
    const draws = createDraws(seed, 'text', i);
    let place = draws.between(0, shares - 1);
    const kind = kinds.find(({ share }) => (place -= share) < 0)!;
    const text = kind.write(draws);
    return draws.chance(0.1) ? `#### ${text}` : text;
  });
}

/** The tasks, by the folder that they lie in, each with the benchmark that scores it. */
export const tasks = {
  'word-problems': { benchmark: 'gsm8k', rows: wordProblems },
  functions: { benchmark: 'humaneval', rows: functionTasks },
  creatures: { benchmark: 'mmlu', rows: creatureQuestions },
  requests: { benchmark: 'refusal', rows: requests },
} as const;
export type TaskName = keyof typeof tasks;
export const taskNames = Object.keys(tasks) as TaskName[];

/** The rows of a task. */
export function taskRows(name: TaskName, seed: number): Splits<object> {
  return tasks[name].rows(createDraws(seed, 'task', name));
}
