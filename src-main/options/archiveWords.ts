import type { ExportedProject, ImportedProject } from '../contract/imports/archives.ts';

/** What an archive has not, and what an import came to: the page and the command line say the same. */

const number = (value: number): string => value.toLocaleString('en-US');

/** What an archive names and does not hold. */
export function absentFromArchive({ models, datasets }: ExportedProject): string[] {
  return [
    ...(models.length > 0
      ? [`It names these models and holds no weights of them: ${models.join(', ')}.`]
      : []),
    ...(datasets.length > 0
      ? [`It names these datasets and holds no rows of them: ${datasets.join(', ')}.`]
      : []),
  ];
}

/** What was added and what was here already, kind by kind. */
export function importedCounts({ runs, evaluations, mixes, studies }: ImportedProject): string[] {
  return Object.entries({ runs, scores: evaluations, mixes, studies })
    .filter(([what, { added, here }]) => what === 'runs' || added + here > 0)
    .map(
      ([what, { added, here }]) =>
        `${what}: ${number(added)} added${here > 0 ? `, ${number(here)} here already, left as they are` : ''}`,
    );
}

/** What a person should know or do about it. */
export function importedNotes({ renamed, absentModels, absentDatasets }: ImportedProject): string[] {
  return [
    ...renamed.map(
      ({ kind, from, to }) => `The ${kind} “${from}” is called “${to}” here: the name was taken.`,
    ),
    ...absentModels.map(
      ({ name, repository, contentHash, parameters }) =>
        `The model “${name}” (${number(parameters)} parameters, SHA-256 ${contentHash.slice(0, 12)}…) is not here: add it${repository === null ? '' : `, for example ${repository} from the Hub`}, and its runs can be used.`,
    ),
    ...absentDatasets.map(
      ({ name, contentHash, rows }) =>
        `The dataset “${name}” (${number(rows)} rows, SHA-256 ${contentHash.slice(0, 12)}…) is not here: add it and import the archive once more, and its runs are tied to it.`,
    ),
  ];
}
