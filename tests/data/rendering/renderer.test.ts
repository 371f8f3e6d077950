import { describe, expect, it } from 'vitest';
import type { Row, Turn } from '../../../src-main/contract/rows.ts';
import { templateSchema, type Template, type TrainOn } from '../../../src-main/contract/templates.ts';
import { createRenderer, type Renderer, type Rendering } from '../../../src-main/data/rendering/renderer.ts';
import { tokenizeRow } from '../../../src-main/data/rendering/tokenizeRow.ts';
import { loadTokenizer, type Tokenizer } from '../../../src-main/formats/model/tokenizer.ts';
import { starterModelFolder } from '../../../src-main/services/projects/starter.ts';
import { hasSharedData, sharedData, sharedNote, tinyLlama } from '../../support/paths.ts';

const tokenizer = loadTokenizer(tinyLlama);

const user = (content: string, input?: string): Turn => ({ role: 'user', content, ...(input && { input }) });
const assistant = (content: string): Turn => ({ role: 'assistant', content });
const system = (content: string): Turn => ({ role: 'system', content });
const chat = (...turns: Turn[]): Row => ({ kind: 'chat', turns });

function renderer(
  template: Partial<Template>,
  {
    own = null,
    trainOn = 'assistant',
    format = null,
  }: { own?: string | null; trainOn?: TrainOn } & Partial<Rendering> = {},
): Renderer {
  const file = own === null ? null : { file: 'chat_template.jinja', text: own, others: [] };
  return createRenderer(tokenizer, file, { template: templateSchema.parse(template), trainOn, format });
}

/** The text with what is trained in square brackets. */
function marked(of: Renderer, row: Row): string {
  const { text, trained, end } = of.row(row);
  let shown = '';
  let at = 0;
  for (const { from, to } of trained) {
    shown += `${text.slice(at, from)}[${text.slice(from, to)}]`;
    at = to;
  }
  return `${shown}${text.slice(at)}${end ? '+end' : ''}`;
}

const twoTurns = chat(user('a'), assistant('b'), user('c'), assistant('d'));

describe('the studio’s own templates', () => {
  it('question and answer, with the end token behind each answer', () => {
    expect(marked(renderer({ name: 'question_answer' }), twoTurns)).toBe(
      'Question: a\nAnswer:[ b</s>]\n\nQuestion: c\nAnswer:[ d</s>]',
    );
  });
  it('Alpaca with and without input, with a system text in the head’s place', () => {
    const alpaca = renderer({ name: 'alpaca' });
    const head = 'Below is an instruction that describes a task';
    const tail = 'Write a response that appropriately completes the request.\n\n### Instruction:\na\n\n';
    expect(marked(alpaca, chat(user('a'), assistant('b')))).toBe(`${head}. ${tail}### Response:[b</s>]`);
    expect(marked(alpaca, chat(user('a', 'i'), assistant('b')))).toBe(
      `${head}, paired with an input that provides further context. ${tail}### Input:\ni\n\n### Response:[b</s>]`,
    );
    expect(marked(alpaca, chat(system('S'), user('a'), assistant('b')))).toBe(
      'S\n\n### Instruction:\na\n\n### Response:[b</s>]',
    );
  });
  it('ChatML stops at its end of turn, though the tokenizer has no token of that name', () => {
    const chatml = renderer({ name: 'chatml' });
    expect(marked(chatml, chat(user('a'), assistant('b')))).toBe(
      '<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n[b<|im_end|>\n]+end',
    );
    expect(chatml.facts).toMatchObject({ endIds: tokenizer.endIds, stop: ['<|im_end|>'] });
    expect(chatml.prompt([user('a')]).text).toBe('<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n');
  });
  it('plain roles, and turns as they are written', () => {
    expect(marked(renderer({ name: 'plain' }), chat(user('a', 'i'), assistant('b')))).toBe(
      'user: a\n\ni\nassistant:[ b</s>]',
    );
    expect(marked(renderer({ name: 'none' }), chat(user('a: '), assistant('b')))).toBe('a:[ b]+end');
  });
});

describe('which template', () => {
  const own = '{% for m in messages %}{{ m.role + "=" + m.content + ";" }}{% endfor %}';
  it.each([
    ['gsm8k', 'question_answer'],
    ['alpaca', 'alpaca'],
    ['prompt_completion', 'none'],
    ['chat', 'plain'],
    ['text', 'none'],
  ] as const)('%s has %s by custom, and the model’s own where there is one', (format, name) => {
    expect(renderer({}, { format }).facts.name).toBe(name);
    expect(renderer({}, { format, own }).facts.name).toBe('model');
  });
  it('refuses a template that is not there, and says which line cannot be read', () => {
    expect(() => renderer({ name: 'model' })).toThrow('The model has no chat template of its own.');
    expect(() => renderer({ name: 'custom' })).toThrow('has no text');
    expect(() =>
      renderer({ name: 'custom', source: 'a\n{% for m in messages %}\n{{ m.content }\n' }),
    ).toThrow('line 3');
    expect(() => renderer({ name: 'custom', source: 'a\n{% for m in messages %}\n{{ 1 }}' })).toThrow(
      'line 2',
    );
    expect(() => renderer({ name: 'custom', source: 'a\n\n{{ raise_exception("never") }}' })).toThrow(
      'The template cannot be used (line 3): never.',
    );
    expect(() => renderer({ name: 'model' }, { own: '{{ x | nosuch }}' })).toThrow(
      'The model’s chat template cannot be used (line 1)',
    );
  });
});

describe('what is trained', () => {
  const marks =
    '{% for m in messages %}{% if m.role == "assistant" %}A:{% generation %}{{ m.content }}</s>{% endgeneration %}{% else %}U:{{ m.content }}{% endif %}\n{% endfor %}';
  const unmarked = marks.replace(/\{% (end)?generation %\}/g, '');
  it('each answer, the last one, or everything: by marks', () => {
    const of = (trainOn: TrainOn) => marked(renderer({ name: 'model' }, { own: marks, trainOn }), twoTurns);
    expect(of('assistant')).toBe('U:aA:[b</s>]U:cA:[d</s>]');
    expect(of('last')).toBe('U:aA:b</s>U:cA:[d</s>]');
    expect(of('all')).toBe('[U:aA:b</s>U:cA:d</s>]');
  });
  it('by differences where nothing is marked: from behind what a prompt has', () => {
    const of = (trainOn: TrainOn) =>
      marked(renderer({ name: 'model' }, { own: unmarked, trainOn }), twoTurns);
    expect(of('assistant')).toBe('U:a[A:b</s>]U:c[A:d</s>]');
    expect(of('last')).toBe('U:aA:b</s>U:c[A:d</s>]');
    const prompted = `${unmarked}{% if add_generation_prompt %}A:{% endif %}`;
    expect(marked(renderer({ name: 'model' }, { own: prompted }), twoTurns)).toBe('U:aA:[b</s>]U:cA:[d</s>]');
  });
  it('finds turns of templates that write earlier ones in another way', () => {
    // Thoughts stay in the last turn alone, and all ends with the end token: Qwen3 and Phi-3.
    const own =
      '{% for m in messages %}<{{ m.role }}>{% if loop.last and m.role == "assistant" %}(thinks){% endif %}{{ m.content }}<e>{% endfor %}{% if add_generation_prompt %}<assistant>{% else %}</s>{% endif %}';
    expect(marked(renderer({ name: 'model' }, { own }), twoTurns)).toBe(
      '<user>a<e><assistant>[b<e>]<user>c<e><assistant>[(thinks)d<e></s>]',
    );
  });
  it('an answer without an end gets the end token, a question as the last turn none', () => {
    const own = '{% for m in messages %}{{ m.role + ":" + m.content + "\n" }}{% endfor %}';
    expect(marked(renderer({ name: 'model' }, { own }), chat(user('a'), assistant('b')))).toMatch(/\+end$/);
    const asked = renderer({ name: 'model' }, { own }).row(chat(user('a'), assistant('b'), user('c')));
    expect(asked).toMatchObject({ end: false });
  });
});

describe('system texts', () => {
  const strict =
    '{% if messages[0].role == "system" %}{{ raise_exception("no system") }}{% endif %}{% for m in messages %}{{ m.role + ":" + m.content + "|" }}{% endfor %}';
  it('are merged into the first question where the template takes none, and said', () => {
    const of = renderer({ name: 'model', system: 'S' }, { own: strict });
    expect(of.facts.mergesSystem).toBe(true);
    expect(of.row(chat(user('a'), assistant('b'))).text).toBe('user:S\n\na|assistant:b|');
    expect(of.row(chat(system('own'), user('a'), assistant('b'))).text).toBe('user:own\n\na|assistant:b|');
    expect(of.prompt([user('a')]).text).toBe('user:S\n\na|');
  });
  it('stand where they belong where it takes them', () => {
    const of = renderer({ name: 'plain', system: 'S' });
    expect(of.facts.mergesSystem).toBe(false);
    expect(of.prompt([user('a')]).text).toBe('system: S\nuser: a\nassistant:');
  });
});

it('conversations with tools go through the model’s template for those, where it has one', () => {
  const text = (extra: string) => `{% for m in messages %}{{ m.content }}|{% endfor %}${extra}`;
  const own = {
    file: 'tokenizer_config.json',
    text: text(''),
    others: [{ name: 'tool_use', text: text('{{ tools | tojson }}') }],
  };
  const rendering = { template: templateSchema.parse({}), trainOn: 'assistant', format: null } as const;
  const of = createRenderer(tokenizer, own, rendering);
  expect(of.facts).toMatchObject({ showsTools: true, source: own.text, toolSource: own.others[0]!.text });
  const row = { kind: 'chat', turns: [user('a'), assistant('b')] } as const;
  expect(of.row({ ...row, turns: [...row.turns] }).text).toBe('a|b|');
  expect(of.row({ ...row, turns: [...row.turns], tools: [{ n: 1 }] }).text).toBe('a|b|[{"n": 1}]');
});

it('gives thoughts and calls of tools to the template by the names that it reads', () => {
  const own =
    '{% for m in messages %}{{ [m.content, m.thinking, m.reasoning_content, m.tool_calls, m.name] | tojson }}{% endfor %}';
  const turn: Turn = { role: 'assistant', content: 'b', reasoning: 't', toolCalls: [{ id: 'c' }] };
  const row = chat(user('a'), turn, { role: 'tool', content: 'r', name: 'n' });
  expect(renderer({ name: 'model' }, { own }).row(row).text).toBe(
    '["a", null, null, null, null]["b", "t", "t", [{"id": "c"}], null]["r", null, null, null, "n"]',
  );
});

it('a row that the template refuses has no tokens and says why; others have theirs', () => {
  const own =
    '{% for m in messages %}{% if m.content == "bad" %}{{ raise_exception("bad row") }}{% endif %}{{ m.content }}{% endfor %}';
  const of = renderer({ name: 'model' }, { own });
  expect(tokenizeRow(tokenizer, of, chat(user('bad'), assistant('b')))).toMatchObject({
    ids: new Int32Array(0),
    refused: 'bad row',
  });
  expect(tokenizeRow(tokenizer, of, chat(user('a'), assistant('b'))).refused).toBeUndefined();
});

it('BOS stands once, whoever writes it', () => {
  const begins = (own: string, name: 'model' | 'custom') => {
    const of = renderer(name === 'model' ? { name } : { name, source: own }, { own });
    const ids = [...tokenizeRow(tokenizer, of, chat(user('a'), assistant('b'))).ids];
    return ids.filter((id) => id === tokenizer.bosId).length;
  };
  const body = '{% for m in messages %}{{ m.content }}{% endfor %}';
  expect(begins(`{{ bos_token }}${body}`, 'model')).toBe(1);
  expect(begins(`{{ bos_token }}${body}`, 'custom')).toBe(1);
  expect(begins(body, 'custom')).toBe(1);
  // As transformers' apply_chat_template: what a model's template does not write is not there.
  expect(begins(body, 'model')).toBe(0);
});

it('finds the same tokens to train without knowing where each stands in the text', () => {
  const blind = {
    ...tokenizer,
    encodeWithEnds: (text: string, options: { specialTokens: boolean }) => ({
      ids: tokenizer.encode(text, options),
      ends: null,
    }),
  };
  const rows = [
    twoTurns,
    chat(user('größer als 5'), assistant('東京 ja'), user('\n 2'), assistant(' é\n')),
    chat(system('S'), user('x'), assistant('')),
    { kind: 'verbatim', prompt: 'Answer: ', answer: '42' } as const,
    { kind: 'text', text: 'naïve' } as const,
  ];
  for (const name of ['plain', 'alpaca', 'chatml', 'question_answer', 'none'] as const)
    for (const trainOn of ['assistant', 'last', 'all'] as const) {
      const of = renderer({ name }, { trainOn });
      for (const row of rows)
        expect(tokenizeRow(blind, of, row), name).toEqual(tokenizeRow(tokenizer, of, row));
    }
});

describe('a prompt that is asked as it stands', () => {
  const starter = loadTokenizer(starterModelFolder);
  const none = (of: Tokenizer, trainOn: TrainOn = 'assistant') =>
    createRenderer(of, null, { template: templateSchema.parse({ name: 'none' }), trainOn, format: null });
  const alone = (text: string) => starter.encode(text, { specialTokens: false });

  it('is cut into tokens by itself, as who asks it cuts it, and the answer behind it', () => {
    const [prompt, answer] = ['Return the sum of t', 'he list'];
    const joint = starter.encode(prompt + answer, { specialTokens: true });
    const asked = starter.encode(prompt, { specialTokens: true });
    // Else there is nothing to show: "the" is one token.
    expect(joint.slice(0, asked.length)).not.toEqual(asked);
    const written: Row = { kind: 'verbatim', prompt, answer };
    for (const row of [written, chat(user(prompt), assistant(answer))]) {
      const { ids, trained } = tokenizeRow(starter, none(starter), row);
      expect([...ids]).toEqual([...asked, ...alone(answer), starter.eosId]);
      expect([...trained].indexOf(1)).toBe(asked.length);
      expect([...trained].lastIndexOf(0)).toBe(asked.length - 1);
    }
    const all = tokenizeRow(starter, none(starter, 'all'), written);
    expect([...all.ids]).toEqual([...asked, ...alone(answer), starter.eosId]);
    expect([...all.trained].indexOf(0)).toBe([...all.trained].lastIndexOf(0));
  });
  it('is cut so before each answer of a conversation that is written down as it is', () => {
    const row = chat(user('Add t'), assistant('he numbers, and t'), user('hen t'), assistant('he rest'));
    const { ids } = tokenizeRow(starter, none(starter), row);
    const begin = starter.encode('', { specialTokens: true });
    expect([...ids]).toEqual([
      ...begin,
      ...['Add t', 'he numbers, and then t', 'he rest'].flatMap(alone),
      starter.eosId,
    ]);
  });
  it('keeps the spaces at its end trained, so that it may be asked without them', () => {
    const { ids, trained } = tokenizeRow(starter, none(starter), {
      kind: 'verbatim',
      prompt: 'Add: ',
      answer: 'one',
    });
    const asked = starter.encode('Add: ', { specialTokens: true });
    expect([...ids.slice(0, asked.length)]).toEqual(asked);
    expect([...trained].indexOf(1)).toBe(asked.length - 1);
  });
  it.runIf(hasSharedData).each(['mistral', 'gpt2', 'gpt-neox-20b', 'phi-3-mini', 't5-small'])(
    `has no space more than it is written with: %s${sharedNote}`,
    (name) => {
      const real = loadTokenizer(sharedData('tokenizers', name));
      for (const [prompt, answer] of [
        ['A: ', '42'],
        ['def f(x):\n    """Twice x."""\n', '    return 2 * x\n'],
        ['Count t', 'he words'],
      ] as const) {
        const { ids } = tokenizeRow(real, none(real), { kind: 'verbatim', prompt, answer });
        const joint = real.encode(prompt + answer, { specialTokens: true });
        const text = (all: readonly number[]) => real.decode(all, { specialTokens: false });
        expect(text([...ids])).toBe(text(joint));
      }
    },
  );
});

describe('a hostile template', () => {
  it.each([
    [
      'loops without an end',
      '{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}',
      'steps',
    ],
    ['long ranges', '{% for i in range(1000000000) %}{% endfor %}', 'range()'],
    [
      'growing texts',
      '{% set n = namespace(x="0123456789") %}{% for i in range(99) %}{% set n.x = n.x + n.x %}{% endfor %}',
      'characters',
    ],
    ['calls of itself', '{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}', 'cannot be used (line 1)'],
    ['the machine', '{{ "".constructor.constructor("return process")() }}', 'not a function'],
  ])('%s', (_, source, message) => {
    expect(() => renderer({ name: 'custom', source })).toThrow(message);
  });
});
