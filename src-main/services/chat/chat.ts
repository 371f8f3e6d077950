import { appendFileSync, mkdirSync, statSync, truncateSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Dataset } from '../../contract/entities.ts';
import { StudioError } from '../../contract/errors.ts';
import type { Chat, ChatAnswer, ChatChoice } from '../../contract/evaluation/chat.ts';
import type { StudioEvent } from '../../contract/events.ts';
import type { ProcedureHandlers, ProcedureParsedInput } from '../../contract/procedures.ts';
import type { Turn } from '../../contract/rows.ts';
import type { ChatAsk, ChatRow } from '../../engine/messages.ts';
import { newId, type ServiceContext } from '../context.ts';
import type { DatasetService } from '../data/datasetService.ts';
import { chatRendering } from '../evaluations/subjects.ts';
import { cancelled } from '../machine/disk.ts';
import type { ModelService } from '../models/models.ts';
import { withProgress } from '../progress.ts';
import type { RunService } from '../runs/runService.ts';
import { withTokenizerThread } from '../tokenizer/tokenizerThread.ts';
import { dropChat, keepChat, readChat, type KeptChat } from '../../store/chats.ts';
import { afterRewind, hidden, withVote } from './blind.ts';
import { createChatEngine } from './chatEngine.ts';
import { checkRoom, columnOf, findColumns, type ChatSubjects } from './columns.ts';

type Ask = ProcedureParsedInput<'chat.ask'>;

export interface ChatService {
  /** The chat of the open project, also one that an earlier process has left; null: there is none. */
  state(): Chat | null;
  /** What a word means as a column: a run, an adapter folder (on the base `model`) or a model. */
  columnOf(word: string, model: string | null): ProcedureParsedInput<'chat.open'>['columns'][number];
  /**
   * Begins a chat in place of the one before, and loads its model.
   * @param signal aborting ends the loading, and the chat
   * @throws StudioError as findColumns and the engine do; busy while another answers
   */
  open(input: ProcedureParsedInput<'chat.open'>, signal: AbortSignal): Promise<Chat>;
  /**
   * Puts a prompt to all columns.
   * @param signal aborting ends the answers where they are
   * @throws StudioError busy while they answer; usage where a conversation is too long
   */
  ask(input: Ask, signal: AbortSignal): Promise<Chat>;
  stop(chat: string): Chat;
  rewind(chat: string, turns: number): Chat;
  /** Hides the names of the columns, which begins a new conversation, or shows them. @throws StudioError busy */
  setBlind(chat: string, isOn: boolean): Chat;
  /** @throws StudioError usage where names are seen, or there is no such answer */
  vote(chat: string, turn: number, choice: ChatChoice | null): Chat;
  end(chat: string): void;
  keep(input: ProcedureParsedInput<'chat.keep'>, signal: AbortSignal): Promise<Dataset>;
  /** Ends its process. */
  close(): void;
}

/** Of a conversation as it was sent, so many of its last letters are shown. */
const shownLetters = 4000;

export function createChatService(
  context: ServiceContext,
  models: ModelService,
  runs: RunService,
  datasets: DatasetService,
): ChatService {
  const { database, emit } = context;
  /** The chat whose model is in memory, or was; `subjects` null: an earlier process has left it. */
  let current: (KeptChat & { project: string; isKept: boolean; subjects: ChatSubjects | null }) | null = null;
  let asks = 0;
  const engine = createChatEngine(context, () => {
    if (current) change({ isOpen: false });
  });

  function change(changes: Partial<Chat>): Chat {
    const chat = { ...current!.chat, ...changes };
    current!.chat = chat;
    // What is being answered was not said yet.
    if (current!.isKept && !chat.isAnswering && (changes.turns || changes.blind)) keep();
    tell({ type: 'chat', chat });
    return chat;
  }

  /** Pages show the chat of the open project: of another one's they hear nothing. */
  function tell(event: StudioEvent): void {
    if (current!.project === context.project) emit(event);
  }

  function keep(): void {
    const { project, chat, asked } = current!;
    keepChat(context.writable(), project, { chat: { ...chat, isOpen: false }, asked });
  }

  /** The chat of the open project. */
  function here(): typeof current {
    const { project } = context;
    if (current?.project === project) return current;
    const kept = readChat(database, project);
    return kept && { ...kept, project, isKept: true, subjects: null };
  }

  /** @throws StudioError not_found where it is another one, or none */
  function required(id: string): NonNullable<typeof current> {
    const found = here();
    if (found?.chat.id !== id) throw new StudioError('not_found', 'This chat has ended.', 'Begin a new one.');
    if (found !== current) {
      // Its base is another one's: of one chat at a time the model is in memory.
      checkIdle();
      current = found;
      engine.close();
    }
    return found;
  }

  /** What the columns are made of; found anew for a chat that an earlier process has left. */
  async function subjectsOf(chat: NonNullable<typeof current>): Promise<ChatSubjects> {
    chat.subjects ??= await findColumns(context, models, runs, chat.asked);
    return chat.subjects;
  }

  function checkIdle(): void {
    if (current?.chat.isAnswering)
      throw new StudioError(
        'busy',
        'The columns of the chat are still answering.',
        'Wait for them, or end their answers first.',
      );
  }

  async function openEngine(signal: AbortSignal): Promise<number> {
    const { chat } = current!;
    if (engine.isOpen) return chat.context;
    const subjects = await subjectsOf(current!);
    const request = { ...subjects.request, context: chat.context };
    return withProgress(context, `chat ${chat.model.name}`, 'Starting the engine', (report) =>
      engine.open(request, report, signal),
    );
  }

  /** What each column is sent: the conversation so far and the prompt, through its template. */
  async function promptsOf({ prompt, settings }: Ask, signal: AbortSignal) {
    const { chat } = current!;
    const subjects = await subjectsOf(current!);
    return withTokenizerThread(signal, (thread) =>
      Promise.all(
        subjects.subjects.map(async ({ model, run }, column) => {
          const rendering = chatRendering(context, run, settings.template);
          const turns = chat.turns.flatMap(({ prompt: content, answers }): Turn[] => [
            { role: 'user', content },
            { role: 'assistant', content: answers[column]!.text },
          ]);
          const conversation = [...turns, { role: 'user' as const, content: prompt }];
          const [sent] = await thread.prompts(model, [{ turns: conversation }], rendering);
          const { endIds, stop } = await thread.renderer(model, rendering);
          return { column, ids: sent!.ids, text: sent!.text, endIds, stop: [...stop, ...settings.stop] };
        }),
      ),
    );
  }

  /** Tells what columns have said since they were heard last. */
  function hear(turn: number, rows: readonly { text: string; tokens: number }[]): void {
    const { chat } = current!;
    const before = chat.turns[turn]!.answers;
    const answers = before.map((answer, i) => ({ ...answer, ...rows[i]! }));
    current!.chat = { ...chat, turns: chat.turns.with(turn, { ...chat.turns[turn]!, answers }) };
    tell({
      type: 'chat.text',
      chat: chat.id,
      turn,
      answers: rows.map(({ text, tokens }, i) => {
        const at = commonLength(before[i]!.text, text);
        return { at, text: text.slice(at), tokens };
      }),
    });
  }

  /** Asks the engine, with the turn that is under way as the last one. */
  async function answer(ask: ChatAsk, turn: number, signal: AbortSignal): Promise<ChatRow[]> {
    const interrupt = () => engine.interrupt(ask.id);
    signal.addEventListener('abort', interrupt, { once: true });
    if (signal.aborted) interrupt();
    try {
      const task = `chat ${current!.chat.model.name}`;
      return await withProgress(context, task, 'Answering', () =>
        engine.ask(ask, (rows) => hear(turn, rows)),
      );
    } finally {
      signal.removeEventListener('abort', interrupt);
    }
  }

  return {
    state: () => here()?.chat ?? null,
    columnOf: (word, model) => columnOf(context, word, model),
    async open(input, signal) {
      checkIdle();
      const subjects = await findColumns(context, models, runs, input);
      checkIdle();
      if (signal.aborted) throw cancelled('Opening the chat');
      engine.close();
      const { model, columns } = subjects;
      current = {
        project: context.project,
        subjects,
        isKept: input.isKept,
        asked: { ...input, columns: subjects.subjects.map(askedColumn) },
        chat: {
          id: newId(),
          model: { id: model.id, name: model.name },
          precision: input.precision,
          loadIn8bit: subjects.request.model.quantization === 'int8',
          loadIn4bit: subjects.request.model.quantization === 'nf4',
          context: Math.min(input.context, model.contextLength),
          columns,
          isOpen: false,
          isAnswering: false,
          turns: [],
          blind: null,
        },
      };
      const { id } = current.chat;
      try {
        const length = await openEngine(signal);
        const opened = change({ isOpen: true, context: length });
        if (current.isKept) keep();
        return opened;
      } catch (error) {
        if (current?.chat.id === id) {
          current = null;
          // What the project has kept is there still.
          emit({ type: 'chat', chat: here()?.chat ?? null });
        }
        throw error;
      }
    },
    async ask(input, signal) {
      const { chat } = required(input.chat);
      checkIdle();
      const turn = chat.turns.length;
      change({ isAnswering: true });
      const { settings } = input;
      try {
        const prompts = await promptsOf(input, signal);
        required(input.chat);
        await openEngine(signal);
        required(input.chat);
        checkRoom(chat, prompts);
        const answers = prompts.map(({ ids, text }): ChatAnswer => ({
          text: '',
          tokens: 0,
          end: null,
          tokensPerSecond: null,
          promptTokens: ids.length,
          sent: text.slice(-shownLetters),
        }));
        change({ isOpen: true, turns: [...chat.turns, { prompt: input.prompt, answers }] });
        const { maxTokens, temperature, topP, seed, task } = settings;
        const rows = prompts.map(({ column, ids, endIds, stop }) => ({ column, prompt: ids, endIds, stop }));
        const ask = {
          id: ++asks,
          rows,
          maxTokens,
          temperature,
          topP,
          seed,
          ...(task !== undefined && { task }),
        };
        const said = await answer(ask, turn, signal);
        return change({
          isAnswering: false,
          turns: [
            ...chat.turns,
            { prompt: input.prompt, answers: answers.map((one, i) => withRow(one, said[i]!)) },
          ],
        });
      } catch (error) {
        // What was not answered to its end was not said.
        if (current?.chat.id === chat.id) change({ isAnswering: false, turns: chat.turns });
        throw error;
      }
    },
    stop(id) {
      const { chat } = required(id);
      engine.interrupt(asks);
      return chat;
    },
    rewind(id, turns) {
      const { chat } = required(id);
      checkIdle();
      const blind = chat.blind && afterRewind(chat.blind, turns);
      return change({ turns: chat.turns.slice(0, turns), blind });
    },
    setBlind(id, isOn) {
      const { chat } = required(id);
      checkIdle();
      if (!isOn) return change({ blind: chat.blind && { ...chat.blind, isOn } });
      return change({ turns: [], blind: hidden(chat) });
    },
    vote(id, turn, choice) {
      const { chat } = required(id);
      return change({ blind: withVote(chat, turn, choice) });
    },
    end(id) {
      const { project, isKept } = required(id);
      if (isKept) dropChat(context.writable(), project);
      current = null;
      engine.close();
      emit({ type: 'chat', chat: here()?.chat ?? null });
    },
    keep: (input, signal) => keepItem(context, datasets, input, signal),
    close: () => engine.close(),
  };
}

/** A column by ids, so that it can be found again whatever its run is called by then. */
function askedColumn({
  model,
  run,
  name,
}: ChatSubjects['subjects'][number]): KeptChat['asked']['columns'][number] {
  return { model: model.id, adapter: run?.id ?? (name === 'base' ? null : name) };
}

function withRow(answer: ChatAnswer, { text, ids, end, tokensPerSecond }: ChatRow): ChatAnswer {
  return { ...answer, text, tokens: ids.length, end, tokensPerSecond };
}

function commonLength(a: string, b: string): number {
  const end = Math.min(a.length, b.length);
  let at = 0;
  while (at < end && a.charCodeAt(at) === b.charCodeAt(at)) at++;
  return at;
}

/**
 * Adds a prompt with its expected answer to a dataset of such prompts, made at the first use; any benchmark on rows of
 * one's own scores it. Its rows are kept in a file of the data folder, which the dataset is read from anew.
 * @throws StudioError name_taken where a dataset of that name came from elsewhere
 */
async function keepItem(
  { paths, writable }: Pick<ServiceContext, 'paths' | 'writable'>,
  datasets: DatasetService,
  { dataset: name, prompt, expected }: ProcedureParsedInput<'chat.keep'>,
  signal: AbortSignal,
): Promise<Dataset> {
  writable();
  const row = `${JSON.stringify({ question: prompt, answer: expected })}\n`;
  const known = datasets.list().find((one) => one.name === name);
  if (!known) {
    mkdirSync(paths.keptPrompts, { recursive: true });
    // A dataset that was removed can be brought back: its file stays its own.
    const path = join(
      paths.keptPrompts,
      `${name.replace(/[^\p{L}\p{N}-]+/gu, '-').slice(0, 60)}-${newId()}.jsonl`,
    );
    appendFileSync(path, row);
    return datasets.add({ path, name, format: 'question_answer' }, signal);
  }
  const { sourcePath } = known;
  if (dirname(sourcePath) !== paths.keptPrompts)
    throw new StudioError(
      'name_taken',
      `The dataset "${name}" was not made of prompts that were kept: none can be added to it.`,
      'Choose another name.',
    );
  const { size } = statSync(sourcePath);
  appendFileSync(sourcePath, row);
  try {
    return await datasets.readAnew(known.id, signal);
  } catch (error) {
    truncateSync(sourcePath, size);
    throw error;
  }
}

/** What callers ask of it. */
export const chatHandlers = (chat: ChatService) =>
  ({
    'chat.state': () => chat.state(),
    'chat.open': (input, { signal }) => chat.open(input, signal),
    'chat.ask': (input, { signal }) => chat.ask(input, signal),
    'chat.stop': ({ chat: id }) => chat.stop(id),
    'chat.rewind': ({ chat: id, turns }) => chat.rewind(id, turns),
    'chat.blind': ({ chat: id, isOn }) => chat.setBlind(id, isOn),
    'chat.vote': ({ chat: id, turn, choice }) => chat.vote(id, turn, choice),
    'chat.close': ({ chat: id }) => {
      chat.end(id);
      return {};
    },
    'chat.keep': (input, { signal }) => chat.keep(input, signal),
  }) satisfies Partial<ProcedureHandlers>;
