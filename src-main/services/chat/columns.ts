import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Model } from '../../contract/entities.ts';
import { StudioError } from '../../contract/errors.ts';
import { shownColumns, type Chat, type ChatColumn } from '../../contract/evaluation/chat.ts';
import type { ProcedureParsedInput } from '../../contract/procedures.ts';
import type { ChatRequest } from '../../engine/protocol.ts';
import { answersOf, computationOf, readingOf } from '../../formats/model/identity.ts';
import { models as storedModels } from '../../store/library.ts';
import { findRun } from '../../store/runs.ts';
import type { ServiceContext } from '../context.ts';
import { chatRendering, findSubject, type Subject } from '../evaluations/subjects.ts';
import { typedPath } from '../homePaths.ts';
import type { ModelService } from '../models/models.ts';
import type { RunService } from '../runs/runService.ts';

type Asked = ProcedureParsedInput<'chat.open'>;

/** The columns of a chat, all on one base. */
export interface ChatSubjects {
  model: Model;
  subjects: Subject[];
  columns: ChatColumn[];
  request: Omit<ChatRequest, 'kind' | 'context'>;
}

/**
 * Finds the columns of a chat.
 * @throws StudioError not_found, no_checkpoint, config_invalid; config_invalid where they do not stand on one base
 */
export async function findColumns(
  context: ServiceContext,
  models: ModelService,
  runs: RunService,
  { columns: asked, precision }: Asked,
): Promise<ChatSubjects> {
  const subjects: Subject[] = [];
  for (const { model: named, adapter } of asked) {
    const run = adapter === null ? null : findRun(context.database, context.project, adapter);
    const model = named ?? run?.modelId;
    if (model === undefined)
      throw adapter === null
        ? new StudioError('usage', 'A column has neither a model nor a run.', 'Choose one of them.')
        : new StudioError(
            'not_found',
            `There is no run "${adapter}".`,
            'Give the name of a run (runs list), or name the base model of an adapter folder.',
          );
    const used = named === null ? await models.use(model) : await models.getOrAdd(model);
    subjects.push(findSubject(context, runs, used, adapter, precision));
  }
  checkOneBase(subjects);
  const [first] = subjects;
  const adapted = subjects.find(({ reference }) => reference.adapterFolder !== null) ?? first!;
  const { adapterFolder: _none, ...reference } = adapted.reference;
  return {
    model: first!.model,
    subjects,
    columns: subjects.map(({ name, run }): ChatColumn => {
      const { name: template, system } = chatRendering(context, run).template;
      return {
        name,
        runId: run?.id ?? null,
        method: run?.config.adapter.method ?? null,
        template: { name: template, system },
      };
    }),
    request: { model: reference, adapterFolders: subjects.map((one) => one.reference.adapterFolder) },
  };
}

/** @throws StudioError config_invalid where the columns would need a second copy of a base */
function checkOneBase(subjects: readonly Subject[]): void {
  const [first, ...others] = subjects;
  const label = ({ name, model }: Subject) => (name === 'base' ? `"${model.name}"` : `"${name}"`);
  const baseOf = ({ identity, model }: Subject) => [computationOf(identity), readingOf(model)].join();
  for (const other of others) {
    if (baseOf(other) === baseOf(first!)) continue;
    const isFull = [first!, other].find(({ run }) => run?.config.adapter.method === 'full');
    const [a, b] = [first!, other].map((one) => answersOf(one.identity).slice(0, 8));
    throw new StudioError(
      'config_invalid',
      `${label(first!)} and ${label(other)} do not stand on the same base (${a} and ${b}): a chat keeps one base in memory.`,
      isFull
        ? `${label(isFull)} was fully fine-tuned, and is a base of its own: open a chat with it alone.`
        : 'Choose columns of one base, and open a chat for each base in turn.',
    );
  }
  const kept = subjects.filter(({ reference }) => reference.adapterFolder !== null);
  const [one] = kept;
  const formOf = ({ reference }: Subject) =>
    ({ none: 'whole', int8: 'in 8 bits', nf4: 'in 4 bits' })[reference.quantization ?? 'none'];
  const differing = kept.find((other) => formOf(other) !== formOf(one!));
  if (differing)
    throw new StudioError(
      'config_invalid',
      `${label(one!)} and ${label(differing)} were trained on the base in different forms, ${formOf(one!)} and ${formOf(differing)}: they would need two copies of it.`,
      'Open a chat for each of them in turn.',
    );
}

/**
 * What a word on the command line means as a column: a run, an adapter folder or a model.
 * @param model the base of adapter folders
 */
export function columnOf(
  { database, project }: Pick<ServiceContext, 'database' | 'project'>,
  word: string,
  model: string | null,
): Asked['columns'][number] {
  if (findRun(database, project, word)) return { model: null, adapter: word };
  if (storedModels.find(database, word) === null && existsSync(join(typedPath(word), 'adapter_config.json')))
    return { model, adapter: word };
  return { model: word, adapter: null };
}

/** @throws StudioError usage where a conversation leaves no room for an answer */
export function checkRoom(
  { columns, blind, context }: Pick<Chat, 'columns' | 'blind' | 'context'>,
  prompts: readonly { ids: readonly number[] }[],
): void {
  const full = prompts.findIndex(({ ids }) => ids.length >= context);
  if (full < 0) return;
  // By the name under which it is shown: a vote is to be blind.
  const { name } = shownColumns({ columns, blind }).find(({ column }) => column === full)!;
  throw new StudioError(
    'usage',
    `The conversation of ${name} has ${prompts[full]!.ids.length} tokens, and the chat has room for ${context} with the answer.`,
    'Take turns back, shorten the prompt, or begin a chat with a longer context.',
  );
}
