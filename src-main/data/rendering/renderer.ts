import type { TemplateFacts } from '../../contract/datasets/previews.ts';
import type { DatasetFormat } from '../../contract/entities.ts';
import { StudioError } from '../../contract/errors.ts';
import type { ChatRow, Row, Turn } from '../../contract/rows.ts';
import type { Template, TemplateName, TrainOn } from '../../contract/templates.ts';
import type { ModelTemplate } from '../../formats/model/chatTemplate.ts';
import type { Tokenizer } from '../../formats/model/tokenizer.ts';
import { builtInTemplates } from './builtInTemplates.ts';
import { compileTemplate, TemplateError, type Span } from './jinjaTemplate.ts';
import { commonPrefix, turnSpans } from './turnSpans.ts';

/** How the rows of a dataset become text, and what of it is trained. */
export interface Rendering {
  template: Template;
  trainOn: TrainOn;
  /** Of the rows, by which `auto` chooses where the model has no template; null: chats. */
  format: DatasetFormat | null;
}

/** A row as text. */
export interface RenderedRow {
  text: string;
  /** Characters that are trained on, in order and apart. */
  trained: Span[];
  /** The tokenizer's first tokens (BOS) are put before the text, unless it is written with them. */
  begin: boolean;
  /** The end token is put behind the text, trained, unless it has ended. */
  end: boolean;
  /** Where prompts end that are later asked as they stand here; absent: a template decides what is before an answer. */
  seams?: readonly number[];
  task: number;
}

/** What generation is asked with. */
export interface RenderedPrompt {
  text: string;
  begin: boolean;
}

/** The one place that makes text of conversations: for training, samples, evaluations and generation alike. */
export interface Renderer {
  facts: TemplateFacts;
  /** @throws TemplateError where the template refuses the row or fails */
  row(row: Row): RenderedRow;
  /** A conversation up to where the assistant's next turn begins. @throws TemplateError as `row` does */
  prompt(turns: readonly Turn[], tools?: readonly unknown[]): RenderedPrompt;
}

type TokenizerPart = Pick<Tokenizer, 'addedTokens' | 'namedTokens' | 'eosId' | 'endIds' | 'entryOf' | 'idOf'>;

/** What stands for a system text, a question and an answer where a template is tried. */
const probe = { system: 'Sqsys', user: 'Uqusr', answer: 'Aqans', tool: 'Tqtool' } as const;
const probeTool = {
  type: 'function',
  function: { name: probe.tool, description: 'x', parameters: { type: 'object', properties: {} } },
};

/**
 * @param own the model's chat template
 * @throws StudioError config_invalid: the model has no template, or the user's own cannot be read; model_invalid: the
 *   model's own cannot be used
 */
export function createRenderer(
  tokenizer: TokenizerPart,
  own: ModelTemplate | null,
  { template, trainOn, format }: Rendering,
): Renderer {
  const name = chosenName(template, own, format);
  const chat = name === 'none' ? null : createChat(tokenizer, own, template, name);
  const facts: TemplateFacts = chat?.facts ?? {
    name,
    source: null,
    toolSource: null,
    hasMarks: false,
    mergesSystem: false,
    showsTools: false,
    endIds: tokenizer.endIds,
    endTokens: textsOf(tokenizer, tokenizer.endIds),
    stop: [],
  };
  const withSystem = (turns: readonly Turn[]): readonly Turn[] =>
    template.system === null || turns.some(({ role }) => role === 'system')
      ? turns
      : [{ role: 'system', content: template.system }, ...turns];
  return {
    facts,
    row(row) {
      const task = row.task ?? 0;
      const whole = (text: string): Span[] => (text === '' ? [] : [{ from: 0, to: text.length }]);
      if (row.kind === 'text')
        return { text: row.text, trained: whole(row.text), begin: true, end: true, task };
      if (row.kind === 'chat' && chat) {
        const rendered = chat.row({ ...row, turns: [...withSystem(row.turns)] }, trainOn);
        return { ...rendered, ...(trainOn === 'all' && { trained: whole(rendered.text) }), task };
      }
      const written = row.kind === 'chat' ? asWritten(withSystem(row.turns), trainOn) : verbatim(row);
      const trained = trainOn === 'all' ? whole(written.text) : written.trained;
      return { ...written, trained, begin: true, task };
    },
    prompt(turns, tools) {
      if (chat) return chat.prompt(withSystem(turns), tools);
      return { text: withSystem(turns).map(contentOf).join(''), begin: true };
    },
  };
}

/** What a row of each format is by custom where the model has no template of its own. */
const customary: Readonly<Partial<Record<string, Exclude<TemplateName, 'auto'>>>> = {
  gsm8k: 'question_answer',
  question_answer: 'question_answer',
  multiple_choice: 'question_answer',
  alpaca: 'alpaca',
  prompt_completion: 'none',
  humaneval: 'none',
  prompts: 'none',
  text: 'none',
};

function chosenName(
  { name }: Template,
  own: ModelTemplate | null,
  format: string | null,
): Exclude<TemplateName, 'auto'> {
  if (name !== 'auto') return name;
  return own ? 'model' : (customary[format ?? 'chat'] ?? 'plain');
}

function verbatim({
  prompt,
  answer,
}: {
  prompt: string;
  answer: string;
}): Omit<RenderedRow, 'begin' | 'task'> {
  const text = prompt + answer;
  // Tokens carry leading spaces: those at the prompt's end belong to the answer.
  const from = prompt.trimEnd().length;
  const trained = from < text.length ? [{ from, to: text.length }] : [];
  return { text, trained, end: true, seams: answer === '' ? [] : [prompt.length] };
}

function asWritten(turns: readonly Turn[], trainOn: TrainOn): Omit<RenderedRow, 'begin' | 'task'> {
  const last = turns.findLastIndex(({ role }) => role === 'assistant');
  let text = '';
  const trained: Span[] = [];
  const seams: number[] = [];
  turns.forEach((turn, i) => {
    const from = text.trimEnd().length;
    const isAnswer = turn.role === 'assistant';
    if (isAnswer && text !== '') seams.push(text.length);
    text += contentOf(turn);
    const isTrained = isAnswer && (trainOn !== 'last' || i === last);
    if (isTrained && from < text.length) trained.push({ from, to: text.length });
  });
  return { text, trained, end: last === turns.length - 1, seams };
}

function contentOf({ content, input }: Turn): string {
  return input ? `${content}\n\n${input}` : content;
}

type Message = Record<string, unknown>;

/** Conversations through a Jinja template. */
function createChat(
  tokenizer: TokenizerPart,
  own: ModelTemplate | null,
  template: Template,
  name: Exclude<TemplateName, 'auto' | 'none'>,
) {
  const source = sourceOf(own, template, name);
  const refuse = (error: unknown) => unusable(name, error);
  const compiled = tried(() => compileTemplate(source), refuse);
  const toolSource =
    name === 'model' ? own?.others.find((other) => other.name === 'tool_use')?.text : undefined;
  const forTools = toolSource === undefined ? compiled : tried(() => compileTemplate(toolSource), refuse);
  // A model's template means the tokenizer's end token; ours, that which training appends.
  const eos = tokenizer.eosId === null ? '' : (tokenizer.entryOf(tokenizer.eosId) ?? '');
  const named =
    name === 'model' || name === 'custom'
      ? tokenizer.namedTokens
      : { ...tokenizer.namedTokens, eos_token: eos };
  const takesInput = name !== 'model' && /\binput\b/.test(source);

  const render = (messages: readonly Message[], tools: readonly unknown[] | undefined, prompt: boolean) =>
    (tools ? forTools : compiled).render({
      ...named,
      messages,
      tools: tools ?? null,
      documents: null,
      add_generation_prompt: prompt,
    });

  const user = { role: 'user', content: probe.user };
  const answer = { role: 'assistant', content: probe.answer };
  const whole = tried(() => render([user, answer], undefined, false).text, refuse);
  if (name === 'custom' && !(whole.includes(probe.user) && whole.includes(probe.answer)))
    throw refuse(new TemplateError('it leaves out what the user or the assistant says', null));
  const mergesSystem = !says(probe.system, () =>
    render([{ role: 'system', content: probe.system }, user, answer], undefined, false),
  );
  const showsTools = says(probe.tool, () => render([user, answer], [probeTool], false));
  const ending = endingOf(tokenizer, whole);
  const endTexts = textsOf(tokenizer, ending.endIds);
  const begin = name !== 'model';

  const messagesOf = (turns: readonly Turn[]): Message[] =>
    (mergesSystem ? mergeSystem(turns) : turns).map((turn) => messageOf(turn, takesInput));

  const facts: TemplateFacts = {
    name,
    source,
    toolSource: toolSource ?? null,
    hasMarks: compiled.hasMarks,
    mergesSystem,
    showsTools,
    ...ending,
    endTokens: endTexts,
  };
  return {
    facts,
    row({ turns, tools }: ChatRow, trainOn: TrainOn): Omit<RenderedRow, 'task'> {
      const messages = messagesOf(turns);
      const { text, marked } = render(messages, tools, false);
      const { hasMarks } = tools ? forTools : compiled;
      const said = messages.flatMap(({ role }, i) => (role === 'assistant' ? [i] : []));
      const end = said.at(-1) === messages.length - 1 && !endTexts.some((token) => endsWith(text, token));
      const template = {
        render: (part: readonly Message[], { prompt }: { prompt: boolean }) =>
          render(part, tools, prompt).text,
        saying: (message: Message, content: string): Message => ({ ...message, content }),
        addedTokens: tokenizer.addedTokens,
      };
      let trained: Span[] = [];
      if (hasMarks) trained = trainOn === 'last' ? markedLast(marked) : marked;
      else if (trainOn !== 'all')
        trained = turnSpans(template, messages, text, trainOn === 'last' ? said.slice(-1) : said);
      return { text, trained: joined(trained), begin, end };

      function markedLast(marks: readonly Span[]): Span[] {
        if (said.length === 0) return [];
        const prompt = template.render(messages.slice(0, said.at(-1)), { prompt: true });
        const from = commonPrefix(prompt, text);
        return marks
          .filter(({ to }) => to > from)
          .map((mark) => ({ ...mark, from: Math.max(mark.from, from) }));
      }
    },
    prompt: (turns: readonly Turn[], tools?: readonly unknown[]): RenderedPrompt => ({
      text: render(messagesOf(turns), tools, true).text,
      begin,
    }),
  };
}

function sourceOf(
  own: ModelTemplate | null,
  { source }: Template,
  name: Exclude<TemplateName, 'auto' | 'none'>,
): string {
  if (name === 'model') {
    if (own) return own.text;
    throw new StudioError(
      'config_invalid',
      'The model has no chat template of its own.',
      'Choose another template (auto takes the one that the dataset’s format has by custom), or a model that was made for chats.',
      { option: ['template'] },
    );
  }
  if (name !== 'custom') return builtInTemplates[name];
  if (source !== null) return source;
  throw new StudioError(
    'config_invalid',
    'A template of one’s own has no text.',
    'Give its Jinja source, or choose a template by its name.',
    { option: ['template'] },
  );
}

function tried<T>(work: () => T, failure: (error: unknown) => Error): T {
  try {
    return work();
  } catch (error) {
    throw failure(error);
  }
}

function unusable(name: TemplateName, error: unknown): StudioError {
  const line = error instanceof TemplateError && error.line !== null ? ` (line ${error.line})` : '';
  const what = error instanceof Error ? error.message : String(error);
  return name === 'model'
    ? new StudioError(
        'model_invalid',
        `The model’s chat template cannot be used${line}: ${what}.`,
        'Take the template of the model’s own maker, or choose another one for the run (chatml, alpaca, plain or your own).',
        { cause: error, option: ['template'] },
      )
    : new StudioError(
        'config_invalid',
        `The template cannot be used${line}: ${what}.`,
        'Correct the template; datasets preview shows what it makes of rows.',
        { cause: error, option: ['template'] },
      );
}

/** Whether a template shows what it is given, rather than to refuse or to drop it. */
function says(what: string, work: () => { text: string }): boolean {
  try {
    return work().text.includes(what);
  } catch {
    return false;
  }
}

function textsOf(tokenizer: TokenizerPart, ids: readonly number[]): string[] {
  return ids.flatMap((id) => tokenizer.entryOf(id) ?? []);
}

/** At what generation stops: the token or the text that a template puts behind an answer, and the model's own ends. */
function endingOf(tokenizer: TokenizerPart, whole: string): Pick<TemplateFacts, 'endIds' | 'stop'> {
  const behind = whole.slice(whole.lastIndexOf(probe.answer) + probe.answer.length).trim();
  const token = [...tokenizer.addedTokens]
    .filter((added) => added !== '' && behind.startsWith(added))
    .sort((a, b) => b.length - a.length)[0];
  const id = token === undefined ? null : tokenizer.idOf(token);
  if (id !== null) return { endIds: [...new Set([...tokenizer.endIds, id])], stop: [] };
  // A sign or two may stand in an answer, too.
  return { endIds: tokenizer.endIds, stop: behind.length < 3 ? [] : [behind] };
}

function endsWith(text: string, token: string): boolean {
  return token !== '' && text.trimEnd().endsWith(token);
}

/** As the families without a system turn do it: before what the user says first, an empty line between. */
function mergeSystem(turns: readonly Turn[]): readonly Turn[] {
  const system = turns.filter(({ role }) => role === 'system').map(({ content }) => content);
  if (system.length === 0) return turns;
  const others = turns.filter(({ role }) => role !== 'system');
  const first = others.findIndex(({ role }) => role === 'user');
  if (first < 0) return [{ role: 'user', content: system.join('\n\n') }, ...others];
  return others.map((turn, i) =>
    i === first ? { ...turn, content: [...system, turn.content].join('\n\n') } : turn,
  );
}

function messageOf(turn: Turn, takesInput: boolean): Message {
  const { role, content, input, toolCalls, reasoning, name } = turn;
  return {
    role,
    content: takesInput ? content : contentOf(turn),
    ...(takesInput && input !== undefined && { input }),
    ...(toolCalls && { tool_calls: toolCalls }),
    // By both of the names that templates read, as transformers does it.
    ...(reasoning !== undefined && { thinking: reasoning, reasoning_content: reasoning }),
    ...(name !== undefined && { name }),
  };
}

/** Spans that touch are one. */
function joined(spans: readonly Span[]): Span[] {
  const all: Span[] = [];
  for (const span of spans) {
    const before = all.at(-1);
    if (before && span.from <= before.to) before.to = Math.max(before.to, span.to);
    else all.push({ ...span });
  }
  return all;
}
