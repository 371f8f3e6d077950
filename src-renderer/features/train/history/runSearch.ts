import { runStates, type Run } from '../../../../src-main/contract/entities.ts';
import { methods, type Method } from '../../../../src-main/contract/training.ts';
import { methodSigns } from '../../../ui/methods.ts';

/** By run as it stands: a run that changes is another object, whose text is made anew. */
const texts = new WeakMap<Run, string>();

/** What a run is searched in: name, model, data, method with its rank, state, tags and notes, in lower case. */
export function runText(run: Run): string {
  const known = texts.get(run);
  if (known !== undefined) return known;
  const { method, rank } = run.config.adapter;
  const text = [
    run.name,
    run.modelName,
    run.datasetName,
    methodSigns[method].label,
    method,
    ...(method === 'full' ? [] : [`r${rank}`, `rank ${rank}`]),
    run.state,
    ...run.tags,
    run.notes,
  ]
    .join('\n')
    .toLowerCase();
  texts.set(run, text);
  return text;
}

/** What runs can be told apart by. */
export const facets = ['method', 'state', 'model', 'data', 'tag'] as const;
export type Facet = (typeof facets)[number];
/** The chosen values of each facet; none: every value. */
export type FacetChoice = Readonly<Record<Facet, readonly string[]>>;

export const facetLabels: Readonly<Record<Facet, string>> = {
  method: 'Method',
  state: 'State',
  model: 'Model',
  data: 'Data',
  tag: 'Tag',
};

export const noFacets: FacetChoice = { method: [], state: [], model: [], data: [], tag: [] };

/** A run's values of a facet. */
export function facetValues(run: Run, facet: Facet): readonly string[] {
  switch (facet) {
    case 'method':
      return [run.config.adapter.method];
    case 'state':
      return [run.state];
    case 'model':
      return [run.modelName];
    case 'data':
      return [run.datasetName];
    case 'tag':
      return run.tags;
    default:
      throw new Error(`unknown facet ${String(facet satisfies never)}`);
  }
}

/** Runs that have one of the chosen values in every facet where some are chosen. */
export function facetedRuns(runs: readonly Run[], choice: FacetChoice): readonly Run[] {
  const asked = facets.filter((facet) => choice[facet].length > 0);
  if (asked.length === 0) return runs;
  return runs.filter((run) =>
    asked.every((facet) => facetValues(run, facet).some((value) => choice[facet].includes(value))),
  );
}

/** A value of a facet and the number of runs that have it. */
export interface FacetCount {
  value: string;
  label: string;
  /** What the value is, where it is a method: shown with its sign. */
  method: Method | null;
  count: number;
}

/** The values of a facet with the number of runs that the other facets leave, in a stable order. */
export function facetCounts(runs: readonly Run[], facet: Facet, choice: FacetChoice): FacetCount[] {
  const counts = new Map<string, number>();
  for (const value of choice[facet]) counts.set(value, 0);
  for (const run of facetedRuns(runs, { ...choice, [facet]: [] }))
    for (const value of facetValues(run, facet)) counts.set(value, (counts.get(value) ?? 0) + 1);
  const order: readonly string[] = facet === 'method' ? methods : facet === 'state' ? runStates : [];
  return [...counts]
    .map(([value, count]) => ({
      value,
      label: facetText(facet, value),
      count,
      method: facet === 'method' ? (methods.find((method) => method === value) ?? null) : null,
    }))
    .sort((a, b) => order.indexOf(a.value) - order.indexOf(b.value) || a.label.localeCompare(b.label));
}

/** A value of a facet in words. */
export function facetText(facet: Facet, value: string): string {
  const method = facet === 'method' ? methods.find((name) => name === value) : undefined;
  return method ? methodSigns[method].label : value;
}
