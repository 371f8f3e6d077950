import type { EvaluationItem } from '../../../../src-main/contract/results.ts';

/** An item with what each subject made of it; null where a subject has it not. */
export interface ItemRow {
  id: string;
  group: string | null;
  question: string;
  target: string;
  cells: readonly (EvaluationItem | null)[];
  /** Which of the classes below it belongs to by its stored grades. */
  outcome: Outcome;
  /** A person said something of one of the answers. */
  isByHand: boolean;
}

/** How the subjects' grades of one item stand to each other. */
export type Outcome = 'all_right' | 'all_wrong' | 'differ' | 'ungraded';

/** Rows with the items of several evaluations, paired by their ids, in the order of the first one. */
export function itemRows(
  columns: readonly (readonly EvaluationItem[])[],
  isByHand: (item: string) => boolean = () => false,
): ItemRow[] {
  const rows = new Map<string, (EvaluationItem | null)[]>();
  columns.forEach((items, c) => {
    for (const item of items) {
      const cells = rows.get(item.id) ?? columns.map(() => null);
      rows.set(item.id, cells);
      cells[c] = item;
    }
  });
  return [...rows].map(([id, cells]) => {
    const first = cells.find((cell) => cell !== null)!;
    return {
      id,
      group: first.group,
      question: first.question ?? '',
      target: first.target ?? '',
      cells,
      outcome: outcomeOf(cells),
      isByHand: isByHand(id),
    };
  });
}

function outcomeOf(cells: readonly (EvaluationItem | null)[]): Outcome {
  const grades = cells.map((cell) => (cell === null ? null : (cell.share ?? cell.correct)));
  if (grades.some((grade) => grade === null)) return 'ungraded';
  const values = grades.map(Number);
  if (values.some((value) => value !== values[0])) return 'differ';
  return values[0]! >= 0.5 ? 'all_right' : 'all_wrong';
}

/** Which rows are shown. */
export interface ItemFilter {
  /** `only N`: right at the subject of that place alone, or not there alone; null: all. */
  show: Outcome | `only ${number}` | 'by_hand' | null;
  group: string | null;
  /** Words or, between slashes, a regular expression; in the question, the target, answers and outputs. */
  text: string;
}

/** How many rows are of each class: the counts by which one filters. */
export function outcomeCounts(rows: readonly ItemRow[], columns: number) {
  const counts: Record<Outcome, number> = { all_right: 0, all_wrong: 0, differ: 0, ungraded: 0 };
  const only = Array.from({ length: columns }, () => 0);
  for (const row of rows) {
    counts[row.outcome]++;
    const alone = rightAlone(row);
    if (alone !== null) only[alone]!++;
  }
  return { ...counts, only };
}

/** The place of the one subject that is right where all others are wrong; null: there is none. */
export function rightAlone({ cells, outcome }: ItemRow): number | null {
  if (outcome !== 'differ') return null;
  const right = cells.flatMap((cell, c) => (cell?.correct === true ? [c] : []));
  return right.length === 1 ? right[0]! : null;
}

/** The rows that a filter leaves; what is no regular expression is looked for as it stands. */
export function filteredItems(rows: readonly ItemRow[], { show, group, text }: ItemFilter): ItemRow[] {
  const matches = matcherOf(text);
  const only = show?.startsWith('only ') ? Number(show.slice(5)) : null;
  return rows.filter(
    (row) =>
      (show === null ||
        (show === 'by_hand'
          ? row.isByHand
          : only === null
            ? row.outcome === show
            : rightAlone(row) === only)) &&
      (group === null || row.group === group) &&
      matches(row),
  );
}

function matcherOf(text: string): (row: ItemRow) => boolean {
  const wanted = text.trim();
  if (wanted === '') return () => true;
  const between = /^\/(.+)\/([a-z]*)$/.exec(wanted);
  const pattern = between ? compiled(between[1]!, between[2]!) : null;
  if (pattern) return (row) => textsOf(row).some((one) => pattern.test(one));
  const words = wanted.toLowerCase().split(/\s+/);
  return (row) => {
    const all = textsOf(row).join('\n').toLowerCase();
    return words.every((word) => all.includes(word));
  };
}

function compiled(source: string, flags: string): RegExp | null {
  try {
    // With `g` or `y` a test would remember where it ended.
    return new RegExp(source, flags.replace(/[gy]/g, ''));
  } catch {
    return null;
  }
}

function textsOf({ id, question, target, cells }: ItemRow): string[] {
  return [id, question, target, ...cells.flatMap((cell) => [cell?.answer ?? '', cell?.output ?? ''])];
}

/** The filter as a part of an address, and back. */
export function filterOf(query: URLSearchParams): ItemFilter {
  const show = query.get('show');
  const isKnown = show !== null && /^(all_right|all_wrong|differ|ungraded|by_hand|only \d+)$/.test(show);
  return {
    show: isKnown ? (show as ItemFilter['show']) : null,
    group: query.get('group'),
    text: query.get('q') ?? '',
  };
}

export function withFilter(query: URLSearchParams, { show, group, text }: ItemFilter): URLSearchParams {
  return changedQuery(query, { show, group, q: text === '' ? null : text });
}

/** A query with other values; null takes one away. */
export function changedQuery(
  query: URLSearchParams,
  changes: Readonly<Record<string, string | null>>,
): URLSearchParams {
  const next = new URLSearchParams(query);
  for (const [key, value] of Object.entries(changes))
    if (value === null) next.delete(key);
    else next.set(key, value);
  return next;
}
