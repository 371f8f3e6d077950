import { describe, expect, it } from 'vitest';
import { counted } from '../../../support/counted.ts';
import { runStates, type Run } from '../../../../src-main/contract/entities.ts';
import { methods, trainConfigSchema } from '../../../../src-main/contract/training.ts';
import {
  historyAddress,
  readHistory,
} from '../../../../src-renderer/features/train/history/historyAddress.ts';
import {
  facetCounts,
  facetedRuns,
  noFacets,
  runText,
} from '../../../../src-renderer/features/train/history/runSearch.ts';
import { filteredRows, orderedRows } from '../../../../src-renderer/ui/table/table.ts';
import { sampleRun } from '../../../support/sampleRun.ts';

/** A run of each kind in turn. */
function makeRun(i: number): Run {
  const method = methods[i % methods.length]!;
  const config = trainConfigSchema.parse({ adapter: { method, rank: 1 + (i % 64), alpha: 16 } });
  return {
    ...template,
    id: `id-${i}`,
    name: `run-${i}`,
    config,
    state: runStates[i % runStates.length]!,
    modelName: `model-${i % 7}`,
    datasetName: `data-${i % 11}`,
    tags: i % 5 === 0 ? ['paper', `batch-${i % 3}`] : [],
    notes: i % 9 === 0 ? 'Lower the rate; see the second seed.' : '',
    lastLoss: 1 + (i % 97) / 100,
    createdAt: new Date(1.8e12 + 1000 * i).toISOString(),
  };
}
const template = sampleRun();
const created = { key: 'created', isDescending: true };
const columns = [
  { key: 'name', label: 'Run', value: ({ name }: Run) => name },
  { key: 'created', label: 'Created', value: ({ createdAt }: Run) => createdAt },
  { key: 'loss', label: 'Loss', value: ({ lastLoss }: Run) => lastLoss },
];
/** As the table does it. */
function arranged(runs: readonly Run[], words: string, sorting = created): Run[] {
  const ordered = orderedRows(runs, columns, sorting);
  return filteredRows(ordered, ordered.map(runText), words);
}
const found = (runs: readonly Run[], words: string) => arranged(runs, words).map(({ name }) => name);

describe('the search', () => {
  const runs = [0, 1, 2, 3, 45].map(makeRun);

  it.each([
    ['run-3', ['run-3']],
    ['MODEL-2', ['run-2']],
    ['data-1', ['run-45', 'run-1']],
    ['hydralora', ['run-45', 'run-3']],
    ['ID-LoRA', []],
    ['r46', ['run-45']],
    ['failed', []],
    ['paper', ['run-45', 'run-0']],
    ['paper second seed', ['run-45', 'run-0']],
    ['paper model-3', ['run-45']],
    ['', ['run-45', 'run-3', 'run-2', 'run-1', 'run-0']],
  ])('finds %j in name, model, data, method, state, tags and notes', (words, names) => {
    expect(found(runs, words)).toEqual(names);
  });

  it('sees what is written into a run later', () => {
    const [run] = runs;
    expect(found([run!], 'later')).toEqual([]);
    expect(found([{ ...run!, notes: 'later' }], 'later')).toEqual(['run-0']);
  });
});

it('lists, filters and counts runs in a few looks at each', () => {
  const length = 2000;
  const choice = { ...noFacets, method: ['lora'], tag: ['paper'] };
  const byName = { key: 'name', isDescending: false };
  const work: Record<string, [mostReadsOfARun: number, act: (own: Run[]) => unknown]> = {
    // Of runs that nothing has been asked of: their texts are made, too.
    'first search': [10, (own) => arranged(own, 'paper second')],
    list: [10, (own) => arranged(own, '')],
    'search by name': [10, (own) => arranged(own, 'r', byName)],
    facets: [2, (own) => facetedRuns(own, choice)],
    counts: [
      8,
      (own) =>
        (['method', 'state', 'model', 'data', 'tag'] as const).map((facet) =>
          facetCounts(own, facet, choice),
        ),
    ],
  };
  for (const [name, [most, act]] of Object.entries(work)) {
    const runs = Array.from({ length }, (_, i) => counted(makeRun(i)));
    act(runs.map(({ object }) => object));
    const reads = runs.reduce((sum, run) => sum + run.reads(), 0);
    expect(reads / length, name).toBeLessThan(most);
  }
});

describe('facets', () => {
  const runs = Array.from({ length: 60 }, (_, i) => makeRun(i));

  it('keep runs with one of the values in each of them', () => {
    const kept = facetedRuns(runs, { ...noFacets, method: ['lora', 'dora'], tag: ['paper'] });
    expect(kept.map(({ name }) => name)).toEqual(
      [...runs.keys()].filter((i) => i % 5 === 0 && [1, 2].includes(i % 6)).map((i) => `run-${i}`),
    );
    expect(facetedRuns(runs, noFacets)).toBe(runs);
  });

  it('count what the other facets leave, and keep a chosen value that none has', () => {
    const choice = { ...noFacets, method: ['lora'], tag: ['gone'] };
    expect(facetCounts(runs, 'method', noFacets).map(({ value }) => value)).toEqual(methods);
    expect(facetCounts(runs, 'method', noFacets)[1]).toEqual({
      value: 'lora',
      label: 'LoRA',
      method: 'lora',
      count: 10,
    });
    expect(facetCounts(runs, 'tag', choice)).toContainEqual({
      value: 'gone',
      label: 'gone',
      method: null,
      count: 0,
    });
    expect(facetCounts(runs, 'tag', choice)).toContainEqual({
      value: 'paper',
      label: 'paper',
      method: null,
      count: 2,
    });
  });
});

describe('the address', () => {
  it.each([
    { runs: [], choice: noFacets, isComparing: false },
    { runs: ['a', 'b'], choice: noFacets, isComparing: true },
    {
      runs: ['x'],
      choice: { ...noFacets, model: ['Llama 3, 8B', 'a&b=c%2C'], tag: ['é'] },
      isComparing: false,
    },
  ])('carries the view: %j', (view) => {
    const address = historyAddress(view);
    expect(readHistory(new URL(address, 'http://studio').search)).toEqual(view);
  });

  it('is one that people can read', () => {
    expect(
      historyAddress({
        runs: ['a', 'b'],
        choice: { ...noFacets, method: ['lora', 'dora'] },
        isComparing: true,
      }),
    ).toBe('/train/runs?method=lora,dora&runs=a,b&view=compare');
  });
});
