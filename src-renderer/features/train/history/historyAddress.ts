import { facets, noFacets, type FacetChoice } from './runSearch.ts';

/**
 * What the address of the history says: which runs are chosen, by what they are told apart, and whether they are
 * compared.
 */
export interface HistoryView {
  runs: readonly string[];
  choice: FacetChoice;
  isComparing: boolean;
}

/** `?method=lora,dora&runs=a,b&view=compare` */
export function readHistory(query: string): HistoryView {
  const values = new URLSearchParams(query);
  const list = (key: string) =>
    (values.get(key) ?? '')
      .split(',')
      .map((part) => decodeURIComponent(part))
      .filter((part) => part !== '');
  return {
    runs: list('runs'),
    choice: { ...noFacets, ...Object.fromEntries(facets.map((facet) => [facet, list(facet)])) },
    isComparing: values.get('view') === 'compare',
  };
}

/** The address of a view: a link that can be kept. */
export function historyAddress({ runs, choice, isComparing }: HistoryView): string {
  // Names may hold commas: they are encoded once more inside a list.
  const entries = [...facets.map((facet) => [facet, choice[facet]] as const), ['runs', runs] as const].filter(
    ([, values]) => values.length > 0,
  );
  const query = new URLSearchParams(
    entries.map(([key, values]): [string, string] => [
      key,
      values.map((value) => encodeURIComponent(value)).join(','),
    ]),
  );
  if (isComparing) query.set('view', 'compare');
  // Commas between plain values are easier to read as they are.
  const text = query.toString().replaceAll('%2C', ',');
  return `/train/runs${text ? `?${text}` : ''}`;
}
