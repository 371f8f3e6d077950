import { StudioError } from '../../contract/errors.ts';
import type { TemplateFacts } from '../../contract/datasets/previews.ts';
import type { Turn } from '../../contract/rows.ts';
import type { Rendering } from '../../data/rendering/renderer.ts';
import type { BenchmarkItem, RowBenchmark } from '../../evaluation/benchmarks/benchmark.ts';
import { PythonRandom } from '../../statistics/pythonRandom.ts';
import type { TokenizerOwner, TokenizerThread } from '../tokenizer/tokenizerThread.ts';

/** An item with the solved examples that are shown before it. */
export interface AskedItem extends BenchmarkItem {
  index: number;
  shown: readonly BenchmarkItem[];
}

/**
 * Chooses the solved examples of each item: the first ones of its group, or some that are drawn anew for each, as
 * lm-evaluation-harness draws them.
 * @param pool null: the items themselves, each without itself
 * @throws StudioError usage where there are too few
 */
export function withExamples(
  items: readonly BenchmarkItem[],
  pool: readonly BenchmarkItem[] | null,
  { shown }: Pick<RowBenchmark, 'shown'>,
  { shots, seed }: { shots: number; seed: number },
): AskedItem[] {
  if (shots === 0) return items.map((item, index) => ({ ...item, index, shown: [] }));
  const random = new PythonRandom(seed % 2 ** 32);
  const byGroup = new Map<string | null, BenchmarkItem[]>();
  for (const item of pool ?? items) {
    const group = byGroup.get(item.group) ?? [];
    byGroup.set(item.group, group);
    group.push(item);
  }
  return items.map((item, index) => {
    const own = shown === 'first' ? (byGroup.get(item.group) ?? []) : (pool ?? items);
    const others = pool ? own.length : own.length - 1;
    if (others < shots)
      throw new StudioError(
        'usage',
        `${shots} solved examples are asked for, and there are ${others}${shown === 'first' && item.group !== null ? ` of ${item.group}` : ''}.`,
        `Ask with at most ${others}.`,
      );
    const drawn =
      shown === 'first'
        ? own.filter((other) => other !== item)
        : pool
          ? random.sample(own, shots)
          : random.sample(own, shots + 1).filter((other) => other !== item);
    return { ...item, index, shown: drawn.slice(0, shots) };
  });
}

/** A text that goes on: description, solved examples, question. */
export function plainPrompt({ description = '', shown, question }: AskedItem, delimiter: string): string {
  const examples = shown.map((example) => `${example.question}${delimiter}${example.solution}\n\n`);
  return description + examples.join('') + question;
}

/** The same as a conversation: each solved example is a turn of the user and one of the assistant. */
export function chatPrompt({ description, shown, question }: AskedItem, system: string | null): Turn[] {
  const said = [system, description].filter((part) => part !== undefined && part !== null && part !== '');
  return [
    ...(said.length === 0 ? [] : [{ role: 'system' as const, content: said.join('\n\n') }]),
    ...shown.flatMap((example): Turn[] => [
      { role: 'user', content: example.question },
      { role: 'assistant', content: example.solution },
    ]),
    { role: 'user', content: question },
  ];
}

/** Prompts as they are sent. */
export interface SentPrompts {
  /** Text of the first one. */
  first: string;
  ids: number[][];
  /** Tokens of each answer that can be chosen, behind the prompt. */
  choices: number[][][];
  /** Through which template; null: none, texts go on. */
  template: TemplateFacts | null;
  /** Where answers end; empty: at the model's own ends. */
  endIds: readonly number[];
  stop: readonly string[];
}

/** So many prompts are sent to the tokenizer at once: with solved examples each has some kilobytes. */
const promptsAtOnce = 64;

/** How items become prompts. */
export interface Asking {
  owner: TokenizerOwner;
  benchmark: Pick<RowBenchmark, 'delimiter'>;
  /** Null: texts that go on; likewise where nobody chose a template and the model has none of its own. */
  rendering: Rendering | null;
}

/** Makes tokens of prompts. */
export async function sentPrompts(
  thread: TokenizerThread,
  items: readonly AskedItem[],
  asking: Asking,
): Promise<SentPrompts> {
  for await (const { sent } of promptWindows(thread, items, asking, Infinity)) return sent;
  throw new Error('prompts are made of no items');
}

/** Prompts of some items that follow each other. */
export interface PromptWindow {
  from: number;
  sent: SentPrompts;
}

/**
 * Makes tokens of prompts, in parts: nobody needs to hold all of them.
 * @param most tokens after which a part ends, with the next few prompts at most
 */
export async function* promptWindows(
  thread: TokenizerThread,
  items: readonly AskedItem[],
  { owner, benchmark: { delimiter }, rendering }: Asking,
  most: number,
): AsyncGenerator<PromptWindow> {
  const system = rendering?.template.system ?? null;
  const used = rendering && { ...rendering, template: { ...rendering.template, system: null } };
  const facts = used && (await thread.renderer(owner, used));
  const isPlain = !facts || (used.template.name === 'auto' && facts.name !== 'model');
  const begin = (): SentPrompts => ({
    first: '',
    ids: [],
    choices: [],
    template: isPlain ? null : facts,
    endIds: isPlain ? [] : facts.endIds,
    stop: isPlain ? [] : facts.stop,
  });
  let [sent, from, tokens] = [begin(), 0, 0];
  // Behind the mark of the assistant's turn an answer begins without a space.
  const before = isPlain ? delimiter : '';
  for (let first = 0; first < items.length; first += promptsAtOnce) {
    const some = items.slice(first, first + promptsAtOnce);
    const prompts = isPlain
      ? some.map((item) => ({ text: plainPrompt(item, delimiter), begin: true }))
      : await thread.prompts(
          owner,
          some.map((item) => ({ turns: chatPrompt(item, system) })),
          used,
        );
    const continued = some.map(({ answerBegin = '', choices = [] }, i) => ({
      text: prompts[i]!.text + answerBegin,
      specialTokens: prompts[i]!.begin,
      continuations: choices.map((choice) => before + choice),
    }));
    const pairs = await thread.pairs(owner, continued);
    if (sent.ids.length === 0) sent.first = continued[0]!.text;
    for (const { ids, continuations } of pairs) {
      sent.ids.push(ids);
      sent.choices.push(continuations);
      tokens += continuations.reduce((sum, { length }) => sum + length, ids.length);
    }
    const end = first + some.length;
    if (tokens < most && end < items.length) continue;
    yield { from, sent };
    [sent, from, tokens] = [begin(), end, 0];
  }
}
