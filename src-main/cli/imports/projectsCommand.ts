import { absentFromArchive, importedCounts, importedNotes } from '../../options/archiveWords.ts';
import { none, only, parseCommand, requiredText, text, usageError } from '../arguments.ts';
import { withCore, type CommandContext } from '../commandContext.ts';
import { formatBytes, formatTable } from '../output.ts';

/** projects list, projects export [NAME] --out FILE, projects import FILE [--into NAME] */
export async function projectsCommand(
  [action, ...args]: readonly string[],
  command: CommandContext,
): Promise<void> {
  const { values, positionals } = parseCommand(args, { out: { type: 'string' }, into: { type: 'string' } });
  await withCore(values, action === 'import' ? 'write' : 'read', async ({ projects }, output) => {
    switch (action) {
      case 'list': {
        none(positionals);
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
            ...absentFromArchive(made),
          ].join('\n'),
        );
        return;
      }
      case 'import': {
        const file = only(positionals, 'projects import FILE');
        const imported = await projects.importFrom(file, text(values, 'into') ?? null, command.signal);
        output.result(imported, () =>
          [
            `Imported into the project "${imported.title}":`,
            ...[...importedCounts(imported), ...importedNotes(imported)].map((line) => `  ${line}`),
          ].join('\n'),
        );
        return;
      }
      default:
        throw usageError(`projects: unknown action "${action ?? ''}"; there are list, export and import.`);
    }
  });
}
