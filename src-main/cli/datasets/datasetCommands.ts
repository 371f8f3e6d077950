import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { sharedSentence } from '../../budget/studies/studyData.ts';
import { mappingsSchema, type Mapping } from '../../contract/datasets/mapping.ts';
import { unusableText } from '../../contract/datasets/unusable.ts';
import { datasetFormatSchema } from '../../contract/entities.ts';
import { splitSchema } from '../../contract/rows.ts';
import type { RowChange } from '../../contract/datasets/datasetProcedures.ts';
import {
  check,
  list,
  nameOf,
  none,
  number,
  parseCommand,
  text,
  usageError,
  type Values,
} from '../arguments.ts';
import { type CommandContext, withCore } from '../commandContext.ts';
import { previewCommand } from '../modelCommands.ts';
import { formatBytes, formatCount, formatTable } from '../output.ts';
import {
  changedText,
  foreignTaskNote,
  inspectionText,
  partLines,
  statisticsText,
  unusedLines,
} from './datasetText.ts';

/** Options that say which field is what. */
const mappingFields = [
  'prompt',
  'input',
  'answer',
  'system',
  'history',
  'turns',
  'tools',
  'text',
  'question',
  'choices',
  'chosen',
  'rejected',
] as const;

const options = {
  name: { type: 'string' },
  format: { type: 'string' },
  encoding: { type: 'string' },
  split: { type: 'string' },
  config: { type: 'string' },
  strict: { type: 'boolean' },
  'in-place': { type: 'boolean' },
  mapping: { type: 'string' },
  verbatim: { type: 'boolean' },
  revision: { type: 'string' },
  unused: { type: 'boolean' },
  limit: { type: 'string' },
  as: { type: 'string' },
  of: { type: 'string' },
  row: { type: 'string', multiple: true },
  set: { type: 'string', multiple: true },
  exclude: { type: 'boolean' },
  include: { type: 'boolean' },
  restore: { type: 'boolean' },
  tags: { type: 'string' },
  ...Object.fromEntries(mappingFields.map((field) => [field, { type: 'string' as const }])),
} as const;

/**
 * datasets add PATH..., search WORDS, download REPOSITORY, inspect PATH..., list, show NAME [--unused], map NAME,
 * split NAME --as PART, edit NAME --row N, undo NAME, remove NAME
 */
export async function datasetsCommand(
  [action, ...args]: readonly string[],
  command: CommandContext,
): Promise<void> {
  if (action === 'preview') return previewCommand(args);
  const { values, positionals } = parseCommand(args, options);
  const isReading = ['list', 'show', 'inspect', 'search'].includes(action ?? '');
  const stopped = new AbortController();
  const signal = AbortSignal.any([command.signal, stopped.signal]);
  await withCore(
    values,
    isReading ? 'read' : 'write',
    async ({ datasets, hubDatasets, statistics }, output) => {
      const only = (usage: string): string => {
        if (positionals.length !== 1) throw usageError(`Usage: ${usage}`);
        return positionals[0]!;
      };
      const limit = number(values, 'limit') ?? 20;
      switch (action) {
        case 'add': {
          if (positionals.length === 0) throw usageError('Usage: datasets add PATH...');
          command.onInterrupt(() => stopped.abort());
          const dataset = await datasets.add(
            {
              ...readingOf(values, positionals),
              name: nameOf(values),
              strict: values['strict'] === true,
              inPlace: values['in-place'] === true,
            },
            signal,
          );
          const { foreignTasks } = dataset.statistics;
          if (foreignTasks) output.progress(foreignTaskNote(foreignTasks));
          const shared = await datasets.shared(dataset.id);
          output.result({ ...dataset, shared }, () =>
            [
              `Added the dataset "${dataset.name}": ${formatCount(dataset.rows)} rows, format ${dataset.format}. ${dataset.reason}`,
              ...partLines(dataset),
              ...unusedLines(dataset.unused),
              ...(dataset.unused.rows > 0 ? [`All of them: datasets show "${dataset.name}" --unused`] : []),
              ...(dataset.unreadColumns.length > 0
                ? [`Fields that are not read: ${dataset.unreadColumns.join(', ')}.`]
                : []),
              ...shared.map((rows) => sharedSentence(dataset, rows)),
            ].join('\n'),
          );
          return;
        }
        case 'statistics': {
          const dataset = datasets.get(only('datasets statistics NAME'));
          output.progress('Looking at the rows.');
          const found = await statistics.rows(dataset.id, signal);
          output.result(found, () => statisticsText(found));
          return;
        }
        case 'search': {
          const found = await hubDatasets.search(positionals.join(' '), limit, signal);
          output.result(found, () =>
            found.length === 0
              ? 'No dataset of the Hub has such a name.'
              : formatTable(
                  ['dataset', 'downloads', 'likes'],
                  found.map((one) => [
                    one.isGated ? `${one.repository} (asks for its terms)` : one.repository,
                    one.downloads === null ? '–' : formatCount(one.downloads),
                    one.likes === null ? '–' : formatCount(one.likes),
                  ]),
                ),
          );
          return;
        }
        case 'download': {
          const repository = only('datasets download ORGANISATION/NAME');
          command.onInterrupt(() => stopped.abort());
          const split = check(splitSchema.optional(), text(values, 'split'), () => '--split');
          const dataset = await hubDatasets.download(
            {
              repository,
              revision: text(values, 'revision'),
              config: text(values, 'config'),
              splits: split && [split],
              name: nameOf(values),
            },
            signal,
          );
          output.result(dataset, () => changedText(dataset));
          return;
        }
        case 'inspect': {
          if (positionals.length === 0) throw usageError('Usage: datasets inspect PATH...');
          const found = await datasets.inspect({ ...readingOf(values, positionals), limit });
          output.result(found, () => inspectionText(found));
          return;
        }
        case 'list': {
          none(positionals);
          const all = datasets.list();
          output.result(all, () =>
            all.length === 0
              ? 'No datasets yet. Add one with: datasets add FILE'
              : formatTable(
                  ['name', 'format', 'rows', 'parts', 'set aside', 'duplicates', 'size', 'source'],
                  all.map((d) => [
                    d.name,
                    d.format,
                    formatCount(d.rows),
                    d.stretches.map(({ split, rows }) => `${split} ${formatCount(rows)}`).join(', '),
                    formatCount(d.unused.rows),
                    formatCount(d.statistics.duplicateRows),
                    formatBytes(d.sizeBytes),
                    d.sourcePath,
                  ]),
                ),
          );
          return;
        }
        case 'show': {
          const dataset = datasets.get(only('datasets show NAME'));
          if (values['unused'] === true) {
            const unused = await datasets.unused(dataset.id, {
              offset: 0,
              limit: number(values, 'limit') ?? 500,
            });
            const shown = { ...dataset.unused, total: unused.total, listed: unused.rows };
            output.result(shown, () =>
              unused.total === 0
                ? `All rows of "${dataset.name}" can be used.`
                : [
                    ...unusedLines(dataset.unused),
                    ...unused.rows.map(
                      (row) => `${row.file}, row ${row.number} ${unusableText(row)}: ${row.text}`,
                    ),
                    ...(unused.rows.length < unused.total
                      ? [`… ${unused.total - unused.rows.length} more`]
                      : []),
                  ].join('\n'),
            );
            return;
          }
          const { rows: sample } = await datasets.rows(dataset.id, { offset: 0, limit: 3 });
          const shown = { ...dataset, shared: await datasets.shared(dataset.id), sample };
          output.result(shown, () => JSON.stringify(shown, null, 2));
          return;
        }
        case 'map': {
          const name = only('datasets map NAME --prompt FIELD --answer FIELD');
          const mappings = mappingOf(values);
          if (!mappings) throw usageError(`Say which field is what: --${mappingFields.join(', --')}.`);
          const format = values['format'] === undefined ? undefined : formatOf(values);
          const dataset = await datasets.setMapping(
            name,
            { mappings, ...(format && format !== 'auto' && { format }) },
            signal,
          );
          output.result(dataset, () => changedText(dataset));
          return;
        }
        case 'split': {
          const name = only('datasets split NAME --as train|validation|test [--of PART]');
          const as = check(splitSchema, text(values, 'as'), () => '--as');
          const from = check(splitSchema.optional(), text(values, 'of'), () => '--of');
          const dataset = await datasets.setSplit(name, as, from, signal);
          output.result(dataset, () => changedText(dataset));
          return;
        }
        case 'edit': {
          const name = only(
            'datasets edit NAME --row N [--exclude | --include | --set FIELD=TEXT | --tags A,B]',
          );
          const dataset = await datasets.edit(name, changesOf(values), signal);
          output.result(dataset, () => changedText(dataset));
          return;
        }
        case 'undo': {
          const dataset = await datasets.undoEdit(only('datasets undo NAME'), signal);
          output.result(dataset, () => changedText(dataset));
          return;
        }
        case 'remove': {
          const name = only('datasets remove NAME');
          datasets.remove(name);
          output.result({ removed: name }, () => `Removed the dataset "${name}".`);
          return;
        }
        default:
          throw usageError(
            `datasets: unknown action "${action ?? ''}"; there are add, search, download, inspect, list, show, preview, map, split, edit, undo and remove.`,
          );
      }
    },
  );
}

function formatOf(values: Values) {
  return check(
    z.union([z.literal('auto'), datasetFormatSchema]),
    text(values, 'format') ?? 'auto',
    () => '--format',
  );
}

function readingOf(values: Values, paths: readonly string[]) {
  return {
    paths: [...paths],
    format: formatOf(values),
    mappings: mappingOf(values),
    split: check(splitSchema.optional(), text(values, 'split'), () => '--split'),
    config: text(values, 'config'),
    encoding: text(values, 'encoding'),
  };
}

/** What the options say of the fields; undefined where they say nothing. */
function mappingOf(values: Values): Mapping[] | undefined {
  const file = text(values, 'mapping');
  if (file !== undefined) {
    const value = JSON.parse(readFileSync(file, 'utf8')) as unknown;
    return check(mappingsSchema, Array.isArray(value) ? value : [value], (path) => `--mapping, ${path}`);
  }
  const given = Object.fromEntries(
    mappingFields.flatMap((field) =>
      text(values, field) === undefined ? [] : [[field, text(values, field)]],
    ),
  );
  if (Object.keys(given).length === 0) return undefined;
  const kind =
    'turns' in given
      ? 'chat'
      : 'text' in given
        ? 'text'
        : 'chosen' in given
          ? 'preference'
          : 'choices' in given
            ? 'choice'
            : 'prompt';
  const { question } = given;
  const mapping = {
    kind,
    ...given,
    ...(kind === 'choice'
      ? { choices: list(values, 'choices') }
      : question !== undefined && { prompt: question }),
    ...(values['verbatim'] === true && { verbatim: true }),
  };
  return check(mappingsSchema, [mapping], (path) => `--${path.split('.').at(-1)}`);
}

function changesOf(values: Values): RowChange[] {
  const rows = (values['row'] as string[] | undefined) ?? [];
  if (rows.length === 0) throw usageError('Say which row: --row N, counted from 1.');
  const sets = (values['set'] as string[] | undefined) ?? [];
  const edited = Object.fromEntries(
    sets.map((set) => {
      const at = set.indexOf('=');
      if (at < 1) throw usageError(`--set "${set}": FIELD=TEXT is needed.`);
      return [set.slice(0, at), set.slice(at + 1)];
    }),
  );
  const isSaid = [values['exclude'], values['include'], values['restore'], values['tags'], values['set']];
  if (isSaid.every((one) => one === undefined))
    throw usageError(
      'Say what is to change: --exclude, --include, --set FIELD=TEXT, --restore or --tags A,B.',
    );
  return rows.map((row) => ({
    index: check(z.coerce.number().int().min(1), row, () => '--row') - 1,
    ...(values['exclude'] === true && { isExcluded: true }),
    ...(values['include'] === true && { isExcluded: false }),
    ...(values['restore'] === true ? { values: null } : sets.length > 0 && { values: edited }),
    ...(values['tags'] !== undefined && { tags: list(values, 'tags') ?? [] }),
  }));
}
