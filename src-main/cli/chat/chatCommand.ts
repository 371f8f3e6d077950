import { createInterface } from 'node:readline/promises';
import type { StudioEvent } from '../../contract/events.ts';
import { StudioError } from '../../contract/errors.ts';
import { shownColumns, type Chat } from '../../contract/evaluation/chat.ts';
import { bestWords, distinctNames } from '../../statistics/preference.ts';
import { procedures } from '../../contract/procedures.ts';
import type { Core } from '../../core/createCore.ts';
import { check, number, parseCommand, text, usageError, type Values } from '../arguments.ts';
import { chatOptions } from './chatOptions.ts';
import { withCore, type CommandContext } from '../commandContext.ts';
import { templateOption } from '../modelCommands.ts';
import type { Output } from '../output.ts';

const settingsOption = (path: string) =>
  `--${path
    .replace(/^settings\./, '')
    .replace(/\..*/, '')
    .replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;

/** chat MODEL-OR-RUN [RUN2 ...]: one prompt to all of them, turn after turn (chatOptions.ts) */
export async function chatCommand(args: readonly string[], command: CommandContext): Promise<void> {
  const { values, positionals } = parseCommand(args, chatOptions);
  const isContinued = values['continue'] === true;
  if ((positionals.length === 0) !== isContinued)
    throw usageError(
      isContinued
        ? '--continue goes on with the columns of the chat that is kept: name none.'
        : 'chat needs a model or a run.',
    );
  const prompts = many(values, 'prompt');
  if (values['blind'] === true && prompts.length > 0)
    throw usageError('--blind is for somebody who reads and votes: give no --prompt.');
  if (values['json'] === true && prompts.length === 0)
    throw usageError('--json needs at least one --prompt: what is typed has no one document.');
  const keep = { dataset: text(values, 'keep'), expected: text(values, 'expect') };
  if ((keep.dataset === undefined) !== (keep.expected === undefined))
    throw usageError('--keep and --expect go together: a prompt is kept with the answer that is expected.');
  if (keep.dataset !== undefined && prompts.length === 0) throw usageError('--keep needs a --prompt.');
  const settings = {
    template: templateOption(values),
    stop: many(values, 'stop'),
    maxTokens: number(values, 'max-tokens'),
    temperature: number(values, 'temperature'),
    topP: number(values, 'top-p'),
    seed: number(values, 'seed'),
    task: number(values, 'task'),
  };
  check(procedures['chat.ask'].input, { chat: '-', prompt: '-', settings }, settingsOption);
  await withCore(values, 'write', async (core, output) => {
    let chat = isContinued ? keptChat(core) : await openChat(core, { words: positionals, values, command });
    if (values['blind'] === true && !chat.blind?.isOn) chat = core.chat.setBlind(chat.id, true);
    const ask = async (prompt: string, shownUntil: AbortController | null): Promise<void> => {
      const isShown = shownUntil !== null;
      const controller = shownUntil ?? new AbortController();
      // The first Ctrl+C ends the answer that is under way, the next one the command.
      command.onInterrupt(() => controller.abort());
      const { signal } = controller;
      const input = procedures['chat.ask'].input.parse({ chat: chat.id, prompt, settings });
      // It may have another order since the last prompt.
      const end = isShown ? showFirst(core, core.chat.state() ?? chat) : () => undefined;
      chat = await core.chat.ask(input, signal).finally(end);
      if (isShown) process.stdout.write(restOf(chat));
    };
    if (prompts.length === 0) {
      await converse(core, output, chat, ask);
      return;
    }
    for (const prompt of prompts) await ask(prompt, null);
    const kept =
      keep.dataset === undefined
        ? null
        : await core.chat.keep(
            procedures['chat.keep'].input.parse({ ...keep, prompt: prompts.at(-1) }),
            command.signal,
          );
    const { model, columns, context, turns } = chat;
    output.result(
      {
        model: model.name,
        context,
        columns: columns.map(({ name, method, template }) => ({ name, method, template: template.name })),
        turns: turns.map(({ prompt, answers }) => ({ prompt, answers })),
        ...(kept && { kept: { dataset: kept.name, rows: kept.rows } }),
      },
      () => turns.map((_, turn) => turnText(chat, turn)).join('\n'),
    );
  });
}

/** The chat that the page, or an earlier call, has left. @throws StudioError not_found */
function keptChat(core: Core): Chat {
  const kept = core.chat.state();
  if (kept) return kept;
  throw new StudioError('not_found', 'The project keeps no chat.', 'Begin one: chat MODEL-OR-RUN [RUN2 ...]');
}

/** Begins a chat, which is forgotten at the end: a script must not end the one that a person keeps. */
function openChat(
  core: Core,
  { words, values, command }: { words: readonly string[]; values: Values; command: CommandContext },
): Promise<Chat> {
  const opening = check(
    procedures['chat.open'].input,
    {
      columns: words.map((word) => core.chat.columnOf(word, text(values, 'model') ?? null)),
      context: number(values, 'context'),
      precision: text(values, 'precision'),
      isKept: false,
    },
    settingsOption,
  );
  return core.chat.open(opening, command.signal);
}

function many(values: Values, name: string): string[] {
  const value = values[name];
  return Array.isArray(value) ? value : [];
}

/** Prints what the first column says while it says it. @returns ends it */
function showFirst({ events }: Core, chat: Chat): () => void {
  const { id } = chat;
  const [first] = shownColumns(chat);
  if (chat.columns.length > 1) process.stdout.write(`${first!.name}: `);
  let shown = '';
  const listener = ({ event }: { event: StudioEvent }) => {
    if (event.type === 'chat.text' && event.chat === id) {
      const { at, text: added } = event.answers[first!.column]!;
      const now = shown.slice(0, at) + added;
      // What was printed cannot be taken back; it hardly ever changes.
      if (now.startsWith(shown)) process.stdout.write(now.slice(shown.length));
      shown = now;
    }
    if (event.type !== 'chat' || event.chat?.id !== id || event.chat.isAnswering) return;
    const whole = event.chat.turns.at(-1)?.answers[first!.column]?.text ?? '';
    if (whole.startsWith(shown)) process.stdout.write(whole.slice(shown.length));
  };
  return events.subscribe(null, listener);
}

/** What stands behind the first column's answer. */
function restOf(chat: Chat): string {
  const { answers } = chat.turns.at(-1)!;
  const rest = shownColumns(chat)
    .slice(1)
    .map(({ column, name }) => `${name}: ${answers[column]!.text}`);
  return `\n${rest.map((line) => `${line}\n`).join('')}`;
}

function turnText({ columns, turns }: Chat, turn: number): string {
  const { prompt, answers } = turns[turn]!;
  const only = columns.length === 1 && turns.length === 1;
  if (only) return answers[0]!.text;
  return [`> ${prompt}`, ...answers.map(({ text: said }, i) => `${columns[i]!.name}: ${said}`)].join('\n');
}

/** Lines of a terminal, or of a pipe, each a prompt. */
async function converse(
  core: Core,
  output: Output,
  chat: Chat,
  ask: (prompt: string, shownUntil: AbortController) => Promise<void>,
): Promise<void> {
  const isTerminal = process.stdin.isTTY === true;
  let answering: AbortController | null = null;
  const { id, context } = chat;
  const names = shownColumns(chat).map(({ name }) => name);
  const commands = `/undo, /new, /keep ANSWER, ${chat.blind?.isOn ? '/vote LETTER|alike|bad, /reveal, ' : ''}/quit`;
  output.progress(`${names.join(', ')}; ${context} tokens of context. ${commands}`);
  const lines = createInterface({ input: process.stdin, output: process.stdout, terminal: isTerminal });
  if (isTerminal) {
    lines.setPrompt('> ');
    lines.prompt();
    // A terminal that is read line by line tells of Ctrl+C itself.
    lines.on('SIGINT', () => (answering ? answering.abort() : lines.close()));
  }
  for await (const line of lines) {
    const [word, ...rest] = line.trim().split(' ');
    const { turns } = core.chat.state()!;
    if (word === '/quit') break;
    if (word === '/new' || word === '/undo')
      core.chat.rewind(id, word === '/new' ? 0 : Math.max(0, turns.length - 1));
    else if (word === '/vote' || word === '/reveal')
      try {
        judge(core, output, id, word === '/reveal' ? null : rest.join(' ').trim());
      } catch (error) {
        output.progress(error instanceof Error ? error.message : String(error));
      }
    else if (word === '/keep') {
      const prompt = turns.at(-1)?.prompt;
      const expected = rest.join(' ').trim();
      if (prompt === undefined || expected === '')
        output.progress('/keep ANSWER keeps the last prompt with the answer that is expected.');
      else {
        const input = procedures['chat.keep'].input.parse({ prompt, expected });
        const { name, rows } = await core.chat.keep(input, new AbortController().signal);
        output.progress(`"${name}" has ${rows} prompts.`);
      }
    } else if (line.trim() !== '')
      try {
        answering = new AbortController();
        await ask(line, answering);
      } catch (error) {
        // The conversation goes on without the turn that failed.
        if (!isTerminal) throw error;
        output.progress(error instanceof Error ? error.message : String(error));
      } finally {
        answering = null;
      }
    if (isTerminal) lines.prompt();
  }
  lines.close();
}

/** Votes on the last prompt, or shows whose the columns are (null). @throws StudioError usage */
function judge(core: Core, output: Output, id: string, said: string | null): void {
  const chat = core.chat.state()!;
  if (said === null) {
    const { columns, blind } = core.chat.setBlind(id, false);
    const names = distinctNames(columns.map(({ name }) => name));
    const shown = shownColumns(chat).map(({ column, name }) => `${name} was ${names[column]!}`);
    const words = bestWords(blind?.votes ?? [], names);
    output.progress([`${shown.join(', ')}.`, ...words].join('\n'));
    return;
  }
  const column = shownColumns(chat).find(({ name }) => name === said.toUpperCase())?.column;
  const choice = column !== undefined ? { column } : said === 'alike' ? 'alike' : 'all_bad';
  if (column === undefined && said !== 'alike' && said !== 'bad')
    throw usageError('/vote takes the letter of the best column, alike, or bad.');
  const { blind } = core.chat.vote(id, chat.turns.length - 1, choice);
  const votes = blind!.votes.length;
  output.progress(`${votes} ${votes === 1 ? 'vote' : 'votes'}. /reveal shows whose they are.`);
}
