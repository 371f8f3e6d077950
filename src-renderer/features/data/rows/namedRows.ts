/** Rows of a dataset that were found by something else than the list itself; they stand in the page's address. */
export interface NamedRows {
  /** What they have in common, as a title. */
  title: string;
  /** Numbers among all rows, at most a thousand: those among the usable ones change when rows are excluded. */
  indices: readonly number[];
  /** How many there are. */
  all: number;
}

const mostRows = 1000;
const radix = 36;

/** The rows as the query of an address, without its question mark: a reload, a link and Back lead to them again. */
export function queryOfRows({ title, indices, all }: NamedRows): string {
  let before = 0;
  // Differences are short where rows follow each other: a thousand of a million rows take some 3 kB.
  const steps = indices.slice(0, mostRows).map((index) => {
    const step = index - before;
    before = index;
    return step.toString(radix);
  });
  return new URLSearchParams({ found: title, all: `${all}`, rows: steps.join('.') }).toString();
}

/** The rows that an address names; null where it names none, or what nobody can read. */
export function rowsOfQuery(query: string): NamedRows | null {
  const given = new URLSearchParams(query);
  const [title, rows] = [given.get('found'), given.get('rows')];
  if (title === null || rows === null || rows === '') return null;
  const indices: number[] = [];
  let at = 0;
  for (const step of rows.split('.').slice(0, mostRows)) {
    at += /^-?[0-9a-z]{1,9}$/.test(step) ? parseInt(step, radix) : NaN;
    if (!Number.isSafeInteger(at) || at < 0) return null;
    indices.push(at);
  }
  const all = Number(given.get('all'));
  return { title, indices, all: Number.isSafeInteger(all) ? Math.max(all, indices.length) : indices.length };
}
