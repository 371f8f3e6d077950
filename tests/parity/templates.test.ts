import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  compileTemplate,
  type CompiledTemplate,
  type Span,
} from '../../src-main/data/rendering/jinjaTemplate.ts';
import { turnSpans } from '../../src-main/data/rendering/turnSpans.ts';
import { tokenizeMarked } from '../../src-main/data/tokenize.ts';
import { loadTokenizer } from '../../src-main/formats/model/tokenizer.ts';
import { projectFolder, recorded, sharedData, hasSharedData, sharedNote } from '../support/paths.ts';

type Message = { role: string; content: string };
interface Conversation {
  messages: Message[];
  tools: unknown[] | null;
}
/** Hashes of text, spans and prompt; null: transformers refuses, or has no such thing (generator/templates.py). */
type Made = [text: string, spans: string | null, prompt: string | null] | null;

const values = JSON.parse(readFileSync(join(recorded, 'templates.json'), 'utf8')) as {
  named: Record<string, string>;
  conversations: Conversation[];
  templates: Record<string, Made[]>;
  masks?: Record<string, ([ids: string, mask: string | null] | null)[]>;
};

const folders = [
  join(projectFolder, 'tests', 'parity', 'templates'),
  ...(process.env['CHAT_TEMPLATES'] ?? '').split(delimiter).filter((folder) => folder !== ''),
];
const sources = new Map(
  folders.flatMap((folder) =>
    readdirSync(folder)
      .filter((name) => name.endsWith('.jinja'))
      .map((name) => [name.slice(0, -'.jinja'.length), readFileSync(join(folder, name), 'utf8')] as const),
  ),
);

function digest(value: string | readonly unknown[]): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return createHash('sha256').update(text).digest('hex').slice(0, 12);
}

function rendered(
  template: CompiledTemplate,
  named: Record<string, string>,
  { messages, tools }: Conversation,
  prompt = false,
): { text: string; marked: Span[] } | null {
  try {
    return template.render({ ...named, messages, tools, documents: null, add_generation_prompt: prompt });
  } catch {
    return null;
  }
}

const pairs = (spans: readonly Span[]) => spans.map(({ from, to }) => [from, to]);

describe('200 conversations with system texts, tools and several turns, as transformers renders them', () => {
  it('are 200, of every kind', () => {
    expect(values.conversations).toHaveLength(200);
    expect(values.conversations.filter(({ tools }) => tools).length).toBeGreaterThan(30);
    expect(values.conversations.filter(({ messages }) => messages.length > 4).length).toBeGreaterThan(40);
  });

  it.each(Object.keys(values.templates))('%s', (name) => {
    const template = compileTemplate(sources.get(name)!);
    const made = values.conversations.map((conversation, i): Made => {
      const whole = rendered(template, values.named, conversation);
      if (whole === null) return null;
      const prompt = rendered(template, values.named, conversation, true);
      // Where one does not begin with the other, transformers' texts have no differences to compare with.
      const isCompared = values.templates[name]![i]?.[1] !== null;
      const spans = template.hasMarks ? whole.marked : differences(template, conversation, whole.text);
      return [digest(whole.text), isCompared ? digest(pairs(spans)) : null, prompt && digest(prompt.text)];
    });
    expect(made).toEqual(values.templates[name]);
  });
});

function differences(template: CompiledTemplate, conversation: Conversation, text: string): Span[] {
  const { messages, tools } = conversation;
  const said = messages.flatMap(({ role }, i) => (role === 'assistant' ? [i] : []));
  const renderer = {
    render: (part: readonly Message[], { prompt }: { prompt: boolean }) =>
      rendered(template, values.named, { messages: [...part], tools }, prompt)?.text ?? '',
    saying: (message: Message, content: string) => ({ ...message, content }),
    addedTokens: new Set(['</s>', '<|user|>', '<|assistant|>', '<|end|>', '<|im_start|>', '<|im_end|>']),
  };
  return turnSpans(renderer, messages, text, said);
}

describe.runIf(hasSharedData && values.masks)(
  `tokens and masks as transformers has them${sharedNote}`,
  () => {
    it.each(Object.keys(values.masks ?? {}))('%s', (name) => {
      const [folder, template] = name.split(' ') as [string, string];
      const tokenizer = loadTokenizer(sharedData(...folder.split('/')));
      const compiled = compileTemplate(sources.get(template)!);
      const made = values.conversations.map((conversation) => {
        const whole = rendered(compiled, tokenizer.namedTokens, conversation);
        if (whole === null) return null;
        const { text, marked } = whole;
        const row = tokenizeMarked(tokenizer, { text, trained: marked, begin: false, end: false });
        return [digest([...row.ids]), compiled.hasMarks ? digest([...row.trained]) : null];
      });
      expect(made).toEqual(values.masks![name]);
    });
  },
);

/** TRL trains with marks of its own in place of a model's template. @param extra what it marks besides, at the begin */
it.each([
  ['phi3', 'phi3_training', ''],
  ['llama3-like', 'llama3-marks', ''],
  ['qwen2_5', 'qwen2_5_training', '\n'],
])('%s: differences find what %s marks', (plain, marked, extra) => {
  const [one, other] = [compileTemplate(sources.get(plain)!), compileTemplate(sources.get(marked)!)];
  let compared = 0;
  for (const conversation of values.conversations) {
    const whole = rendered(one, values.named, conversation)!;
    const reference = rendered(other, values.named, conversation)!;
    if (whole.text !== reference.text) continue;
    compared++;
    const expected = reference.marked.map(({ from, to }) => {
      const skipped = reference.text.startsWith(extra, from) ? extra.length : 0;
      return { from: from + skipped, to };
    });
    expect(joined(differences(one, conversation, whole.text))).toEqual(joined(expected));
  }
  expect(compared).toBeGreaterThan(140);
});

function joined(spans: readonly Span[]): Span[] {
  return spans.reduce<Span[]>((all, span) => {
    const last = all.at(-1);
    if (last?.to !== span.from) return [...all, span];
    return [...all.slice(0, -1), { from: last.from, to: span.to }];
  }, []);
}

it('the templates lie beside the values', () => {
  for (const name of Object.keys(values.templates)) expect(sources.has(name), name).toBe(true);
  expect(existsSync(join(folders[0]!, 'README.md'))).toBe(true);
});
