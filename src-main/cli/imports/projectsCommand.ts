import type { ImportedProject } from '../../contract/imports/archives.ts';
import { only, parseCommand, requiredText, text, usageError } from '../arguments.ts';
import { withCore, type CommandContext } from '../commandContext.ts';
import { formatBytes, formatCount, formatTable } from '../output.ts';

/** projects list, projects export [NAME] --out FILE, projects import FILE [--into NAME] */
export async function projectsCommand(
  [action, ...args]: readonly string[],
  command: CommandContext,
): Promise<void> {
  const { values, positionals } = parseCommand(args, { out: { type: 'string' }, into: { type: 'string' } });
  await withCore(values, action === 'import' ? 'write' : 'read', async ({ projects }, output) => {
    switch (action) {
      case 'list': {
        const all = projects.list();
        output.result(all, () =>
          formatTable(
            ['title', 'runs', 'question'],
            all.map(({ title, runs, question }) => [title, String(runs), question]),
          ),
        );
        return;
      }
      case 'export': {
        if (positionals.length > 1) throw usageError('Usage: projects export [NAME] --out FILE');
        const made = await projects.exportTo(
          positionals[0] ?? null,
          requiredText(values, 'out'),
          command.signal,
        );
        output.result(made, () =>
          [
            `Wrote ${made.file} (${formatBytes(made.sizeBytes)}): ${made.runs} runs with their checkpoints and scores.`,
            ...(made.models.length > 0
              ? [`It names these models and holds no weights of them: ${made.models.join(', ')}.`]
              : []),
            ...(made.datasets.length > 0
              ? [`It names these datasets and holds no rows of them: ${made.datasets.join(', ')}.`]
              : []),
          ].join('\n'),
        );
        return;
      }
      case 'import': {
        const file = only(positionals, 'projects import FILE');
        const imported = await projects.importFrom(file, text(values, 'into') ?? null, command.signal);
        output.result(imported, () => importedLines(imported).join('\n'));
        return;
      }
      default:
        throw usageError(`projects: unknown action "${action ?? ''}"; there are list, export and import.`);
    }
  });
}

function importedLines(imported: ImportedProject): string[] {
  const { title, runs, evaluations, mixes, studies, renamed, absentModels, absentDatasets } = imported;
  const counts = { runs, scores: evaluations, mixes, studies };
  return [
    `Imported into the project "${title}":`,
    ...Object.entries(counts).map(
      ([what, { added, here }]) =>
        `  ${what}: ${added} added${here > 0 ? `, ${here} here already, left as they are` : ''}`,
    ),
    ...renamed.map(
      ({ kind, from, to }) => `  The ${kind} "${from}" is called "${to}" here: the name was taken.`,
    ),
    ...absentModels.map(
      ({ name, repository, contentHash, parameters }) =>
        `  The model "${name}" (${formatCount(parameters)} parameters, SHA-256 ${contentHash.slice(0, 12)}…) is not here: add it${repository === null ? '' : `, for example with models download ${repository}`}, and its runs can be used.`,
    ),
    ...absentDatasets.map(
      ({ name, contentHash, rows }) =>
        `  The dataset "${name}" (${formatCount(rows)} rows, SHA-256 ${contentHash.slice(0, 12)}…) is not here: add it and import the archive once more, and its runs are tied to it.`,
    ),
  ];
}
