/**
 * So long a test waits for what an engine computes, in ms: seconds on an idle machine, ten times that on one whose
 * processors run other test files. What has to be fast is tested with a bound of its own.
 */
export const patienceMs = 240_000;

/**
 * The least time in ms that something took, of at most three attempts, the first within the bound being the last: what
 * else runs on the processors can only make it longer.
 * @param act is given the number of the attempt, from 0
 */
export async function leastTime(bound: number, act: (attempt: number) => unknown): Promise<number> {
  let least = Infinity;
  for (let attempt = 0; attempt < 3 && least >= bound; attempt++) {
    const begun = performance.now();
    await act(attempt);
    least = Math.min(least, performance.now() - begun);
  }
  return least;
}
