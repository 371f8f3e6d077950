import type { Run } from '../../src-main/contract/entities.ts';
import {
  isAdapterOption,
  flatten,
  mattering,
  optionDefaults,
  optionNames,
  type OptionName,
} from '../../src-main/options/trainingOptions.ts';
import { toMarkdown, type Column } from '../ui/table/table.ts';
import { fieldTexts, fileKey, valueText } from './fields.ts';
import { formValue } from './trainForm.ts';

/** A line of a comparison: what it is called, and one text a run; null where it means nothing to the run. */
export interface ComparedLine {
  key: string;
  label: string;
  /** What it means, and its name in files. */
  definition: string;
  values: (string | null)[];
}

/**
 * What the configurations of runs differ in: the values of every option that is not the same in all of them, model and
 * data first.
 */
export function configDifferences(runs: readonly Run[]): ComparedLine[] {
  const of = (key: string, label: string, definition: string, value: (run: Run) => string | null) => ({
    key,
    label,
    definition,
    values: runs.map(value),
  });
  const lines = [
    of('model', 'Model', 'Base model of the run.', ({ modelName }) => modelName),
    of('dataset', 'Dataset', 'What it was trained on.', ({ datasetName, mix }) =>
      mix ? `${datasetName} (mix)` : datasetName,
    ),
    of('rows', 'Rows trained on', 'Rows after those that were held out or left out.', ({ dataContract }) =>
      dataContract ? String(dataContract.trainRows) : null,
    ),
    ...optionNames.map((name) =>
      of(name, fieldTexts[name].label, `${fieldTexts[name].definition} ${fileKey(name)}`, (run) =>
        optionText(run, name),
      ),
    ),
  ];
  return lines.filter(({ key, values }) => isDifference(key, values));
}

/** Whether runs were trained on the same rows in the same tokens, and else where their data contracts differ. */
export interface ContractComparison {
  /** Null: of a run the rows are not known yet, or were not kept. */
  isSame: boolean | null;
  lines: ComparedLine[];
}

export function contractDifferences(runs: readonly Run[]): ContractComparison {
  const hashes = runs.map(({ dataContract }) => dataContract?.hash ?? null);
  const isSame = hashes.includes(null) ? null : new Set(hashes).size === 1;
  const names = new Set(runs.flatMap(({ dataContract }) => Object.keys(dataContract?.parts ?? {})));
  const lines = [...names].map((name) => ({
    key: `contract ${name}`,
    label: `${name.slice(0, 1).toUpperCase()}${name.slice(1)}`,
    definition: 'A part of the data contract: what decides the rows of a run and their tokens.',
    values: runs.map(({ dataContract }) => dataContract?.parts[name] ?? null),
  }));
  return {
    isSame,
    lines: isSame === true ? [] : lines.filter(({ values }) => new Set(values).size > 1),
  };
}

/** Options that say how large an adapter is: told even where only one method has them. */
const sizes: readonly string[] = ['rank', 'clusters', 'boost', 'heads', 'experts'];

/** Values differ; one that means nothing to some runs is told where somebody chose it, not where it is as usual. */
function isDifference(key: string, values: readonly (string | null)[]): boolean {
  const known = new Set(values.filter((value) => value !== null));
  if (known.size > 1) return true;
  const [only] = known;
  if (only === undefined || !values.includes(null)) return false;
  return sizes.includes(key) || only !== usualText(key);
}

function usualText(key: string): string | null {
  const name = optionNames.find((option) => option === key);
  return name ? valueText(name, formValue(name, optionDefaults[name])) : null;
}

function optionText(run: Run, name: OptionName): string | null {
  const flat = flatten(run.config);
  // How an adapter from elsewhere was trained is not known: the rest of its configuration are defaults.
  if (run.imported && !isAdapterOption(name)) return null;
  if (!mattering(flat).includes(name)) return null;
  // The length that counts stands as epochs then.
  if (name === 'maxSteps' && flat.maxSteps === null) return null;
  return valueText(name, formValue(name, flat[name]));
}

/** A comparison as a Markdown table: a line a value, a column a run. */
export function comparisonMarkdown(
  runs: readonly Pick<Run, 'name'>[],
  lines: readonly ComparedLine[],
): string {
  const columns: Column<ComparedLine>[] = [
    { key: 'label', label: 'Value', value: ({ label }) => label },
    ...runs.map(({ name }, i) => ({
      key: String(i),
      label: name,
      value: (line: ComparedLine) => line.values[i] ?? '–',
    })),
  ];
  return toMarkdown(columns, lines);
}
