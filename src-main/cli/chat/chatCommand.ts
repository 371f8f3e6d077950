import { createInterface } from 'node:readline/promises';
import type { StudioEvent } from '../../contract/events.ts';
import type { Chat } from '../../contract/evaluation/chat.ts';
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
  if (positionals.length === 0) throw usageError('chat needs a model or a run.');
  const prompts = many(values, 'prompt');
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
    const opening = check(
      procedures['chat.open'].input,
      {
        columns: positionals.map((word) => core.chat.columnOf(word, text(values, 'model') ?? null)),
        context: number(values, 'context'),
        precision: text(values, 'precision'),
      },
      settingsOption,
    );
    let chat = await core.chat.open(opening, command.signal);
    const ask = async (prompt: string, shownUntil: AbortController | null): Promise<void> => {
      const isShown = shownUntil !== null;
      const controller = shownUntil ?? new AbortController();
      // The first Ctrl+C ends the answer that is under way, the next one the command.
      command.onInterrupt(() => controller.abort());
      const { signal } = controller;
      const input = procedures['chat.ask'].input.parse({ chat: chat.id, prompt, settings });
      const end = isShown ? showFirst(core, chat) : () => undefined;
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

function many(values: Values, name: string): string[] {
  const value = values[name];
  return Array.isArray(value) ? value : [];
}

/** Prints what the first column says while it says it. @returns ends it */
function showFirst({ events }: Core, { id, columns }: Chat): () => void {
  if (columns.length > 1) process.stdout.write(`${columns[0]!.name}: `);
  let shown = '';
  const listener = ({ event }: { event: StudioEvent }) => {
    if (event.type === 'chat.text' && event.chat === id) {
      const { at, text: added } = event.answers[0]!;
      const now = shown.slice(0, at) + added;
      // What was printed cannot be taken back; it hardly ever changes.
      if (now.startsWith(shown)) process.stdout.write(now.slice(shown.length));
      shown = now;
    }
    if (event.type !== 'chat' || event.chat?.id !== id || event.chat.isAnswering) return;
    const whole = event.chat.turns.at(-1)?.answers[0]?.text ?? '';
    if (whole.startsWith(shown)) process.stdout.write(whole.slice(shown.length));
  };
  return events.subscribe(null, listener);
}

/** What stands behind the first column's answer. */
function restOf({ columns, turns }: Chat): string {
  const { answers } = turns.at(-1)!;
  const rest = answers.slice(1).map(({ text: said }, i) => `${columns[i + 1]!.name}: ${said}`);
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
  { id, columns, context }: Chat,
  ask: (prompt: string, shownUntil: AbortController) => Promise<void>,
): Promise<void> {
  const isTerminal = process.stdin.isTTY === true;
  let answering: AbortController | null = null;
  output.progress(
    `${columns.map(({ name }) => name).join(', ')}; ${context} tokens of context. /undo, /new, /keep ANSWER, /quit`,
  );
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
