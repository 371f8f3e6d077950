import type { ExportedProject, ImportedProject } from '../contract/imports/archives.ts';

/** What an archive has not, and what an import came to: the page and the command line say the same. */

const number = (value: number): string => value.toLocaleString('en-US');

/** What an archive names and does not hold, and why; its own list says it, too. */
export function absentFromArchive({
  models,
  datasets,
  waiting,
}: Pick<ExportedProject, 'models' | 'datasets' | 'waiting'>): string[] {
  return [
    ...(models.length > 0
      ? [
          `It names these models and holds no weights of them, which are large and lie where they were fetched from: ${models.join(', ')}.`,
        ]
      : []),
    ...(datasets.length > 0
      ? [
          `It names these datasets and holds no rows of them, which may be private or under a licence of their own: ${datasets.join(', ')}. Give their files along where you may; they are known by their content.`,
        ]
      : []),
    ...(waiting > 0
      ? [
          `What waits to be trained or scored (${number(waiting)}) waits here alone: an archive starts nothing on another machine.`,
        ]
      : []),
  ];
}

/** What was added and what was here already, kind by kind. */
export function importedCounts({ runs, evaluations, mixes, studies, chat }: ImportedProject): string[] {
  const counts = Object.entries({ runs, scores: evaluations, mixes, studies })
    .filter(([what, { added, here }]) => what === 'runs' || added + here > 0)
    .map(
      ([what, { added, here }]) =>
        `${what}: ${number(added)} added${here > 0 ? `, ${number(here)} here already, left as they are` : ''}`,
    );
  return chat === 'added' ? [...counts, 'its chat'] : counts;
}

/** What a person should know or do about it. */
export function importedNotes({ renamed, absentModels, absentDatasets, chat }: ImportedProject): string[] {
  return [
    ...(chat === 'other'
      ? ['The chat of the archive was left out: this project has one, and keeps it.']
      : []),
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
