/** The address of a comparison of stored scores. */
export function comparedAddress(evaluations: readonly { id: string }[]): string {
  return `/evaluate/compare?e=${evaluations.map(({ id }) => id).join(',')}`;
}

/** Ids of runs that a link wants compared. */
export function namedRuns(query: string): string[] {
  return listOf(query, 'runs');
}

/** Ids of scores that an address compares. */
export function namedScores(query: string): string[] {
  return listOf(query, 'e');
}

function listOf(query: string, key: string): string[] {
  return (new URLSearchParams(query).get(key) ?? '').split(',').filter(Boolean);
}
