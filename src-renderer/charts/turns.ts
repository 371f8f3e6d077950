/** Milliseconds of a frame that charts may take; the rest is left for whoever clicks. */
const budgetMs = 10;

const waiting = new Set<() => void>();
let isAsked = false;

/**
 * Does something in one of the next frames, in turn: several charts that are made or get new numbers at once would else
 * keep a click waiting for all of them. @returns what takes it back
 */
export function inTurn(work: () => void): () => void {
  waiting.add(work);
  ask();
  return () => waiting.delete(work);
}

function ask(): void {
  if (isAsked) return;
  isAsked = true;
  requestAnimationFrame(() => {
    isAsked = false;
    const begin = performance.now();
    for (const work of waiting) {
      waiting.delete(work);
      work();
      if (performance.now() - begin > budgetMs) break;
    }
    if (waiting.size > 0) ask();
  });
}
