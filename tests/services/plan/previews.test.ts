import { cpSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { procedures, type ProcedureParsedInput } from '../../../src-main/contract/procedures.ts';
import { trainConfigSchema } from '../../../src-main/contract/training.ts';
import type { Core } from '../../../src-main/core/createCore.ts';
import { neverAborted, openTestCore } from '../../support/core.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';
import { tinyLlama } from '../../support/paths.ts';

const template =
  '{% if messages[0].role == "system" %}{{ raise_exception("no system") }}{% endif %}' +
  '{% for m in messages %}{% if m.content == "bad" %}{{ raise_exception("a bad word") }}{% endif %}' +
  '{% if m.role == "user" %}{{ "Q " + m.content }}{% else %}{{ "A " + m.content + eos_token }}{% endif %}{% endfor %}' +
  '{% if add_generation_prompt %}{{ "A " }}{% endif %}';

let core: Core;
beforeAll(async () => {
  ({ core } = openTestCore());
  const folder = temporaryFolder();
  cpSync(tinyLlama, folder, { recursive: true });
  writeFileSync(join(folder, 'chat_template.jinja'), template);
  await core.models.add({ folder, name: 'chat', copy: false });
  await core.models.add({ folder: tinyLlama, name: 'plain', copy: false });
  const rows = [
    [user('one'), assistant('two'), user('three'), assistant('four')],
    [user('bad'), assistant('x')],
    [user('a long question with many letters'), assistant('b')],
  ];
  const path = join(temporaryFolder(), 'rows.jsonl');
  writeFileSync(path, rows.map((messages) => JSON.stringify({ messages })).join('\n'));
  await core.datasets.add({ path, name: 'rows', format: 'auto' });
});
afterAll(() => core.close());

const user = (content: string) => ({ role: 'user', content });
const assistant = (content: string) => ({ role: 'assistant', content });

function preview(rest: Partial<ProcedureParsedInput<'datasets.preview'>> = {}) {
  const input = procedures['datasets.preview'].input.parse({ dataset: 'rows', model: 'chat', ...rest });
  return core.previews.rows(input);
}

it('shows rows token by token through the model’s own template, with what is trained on', async () => {
  const { template: facts, rows } = await preview();
  expect(facts).toMatchObject({ name: 'model', hasMarks: false, mergesSystem: true, showsTools: false });
  const [first, second] = rows;
  expect(first).toMatchObject({
    index: 0,
    text: 'Q oneA two</s>Q threeA four</s>',
    isCut: false,
    leftOut: null,
    tokens: first!.ids.length,
  });
  const trained = first!.pieces.filter(({ isTrained }) => isTrained).map(({ text }) => text);
  expect(trained.join('')).toBe('two</s>four</s>');
  expect(first!.trained.filter((flag) => flag === 1)).toHaveLength(first!.trainedTokens);
  expect(first!.pieces.filter(({ isSpecial }) => isSpecial).map(({ entry }) => entry)).toEqual([
    '</s>',
    '</s>',
  ]);
  expect(second).toMatchObject({
    leftOut: 'refused',
    refusal: 'a bad word',
    ids: [],
    pieces: [],
    isCut: false,
  });
});

it('cuts where the context ends, at either side, or leaves out; the pieces tell what is kept', async () => {
  const [whole] = (await preview({ limit: 1 })).rows;
  const context = whole!.tokens - 3;
  for (const [truncation, kept] of [
    ['right', whole!.ids.slice(0, context)],
    ['left', whole!.ids.slice(3)],
    ['drop', []],
  ] as const) {
    const [row] = (await preview({ limit: 1, context, truncation })).rows;
    expect(row, truncation).toMatchObject({
      ids: kept,
      isCut: true,
      tokens: whole!.tokens,
      leftOut: truncation === 'drop' ? 'too_long' : null,
    });
    expect(row!.pieces.filter(({ isKept }) => isKept).map(({ id }) => id)).toEqual(kept);
  }
  const [unanswered] = (await preview({ offset: 2, limit: 1, context: 8 })).rows;
  expect(unanswered).toMatchObject({ index: 2, leftOut: 'nothing_trained' });
});

it('shows what another model makes of the same rows: without a template, plain roles', async () => {
  const { template: facts, rows } = await preview({ model: 'plain', limit: 1 });
  expect(facts.name).toBe('plain');
  expect(rows[0]!.text).toBe('<s>user: one\nassistant: two</s>\nuser: three\nassistant: four</s>');
});

it('tries a template of one’s own: its mistake with the line, or what it makes of a chat', async () => {
  const check = (source: string) => core.previews.check({ model: 'plain', source, system: null });
  expect(await check('{% for m in messages %}\n{{ m.content | nosuch }}{% endfor %}')).toMatchObject({
    problem: { line: 2, message: 'Unknown StringValue filter: nosuch' },
    facts: null,
  });
  expect(await check('')).toMatchObject({
    problem: { message: expect.stringContaining('leaves out') as string },
  });
  expect(await check('{% for m in messages %}{{ m.role[0] + m.content }}{% endfor %}')).toMatchObject({
    problem: null,
    example: 'uWhat is 2 + 2?a4uAnd twice that?a8',
  });
});

it('says what the template of a model can do', async () => {
  expect(await core.previews.ofModel('chat')).toMatchObject({ facts: { mergesSystem: true }, problem: null });
  expect(await core.previews.ofModel('plain')).toEqual({ facts: null, problem: null });
});

it('answers a chat through the template, and a prompt as it stands', async () => {
  const ask = (chat: object | null, model = 'chat') =>
    core.generation.text(
      procedures['generate.text'].input.parse({ model, prompt: 'hi', chat, maxTokens: 2 }),
      neverAborted,
    );
  expect((await ask({ system: 'S' })).template).toMatchObject({ name: 'model', mergesSystem: true });
  expect((await ask({ name: 'chatml' })).template).toMatchObject({ name: 'chatml', stop: ['<|im_end|>'] });
  expect((await ask(null)).template).toBeNull();
  expect((await ask({}, 'plain')).template).toMatchObject({ name: 'plain' });
  await expect(ask({ name: 'model' }, 'plain')).rejects.toMatchObject({ code: 'config_invalid' });
});

it('says what a run asks its sample prompts through', async () => {
  const started = async (name: string, model: string, template: 'auto' | 'chatml') => {
    const config = trainConfigSchema.parse({
      adapter: { method: 'lora', rank: 2, alpha: 4 },
      maxSteps: 1,
      batch: 1,
      context: 64,
      heldOutFraction: 0,
      template,
    });
    await (
      await core.runs.start({ name, model, dataset: 'rows', config })
    ).ended;
    return core.previews.ofRun(name);
  };
  expect(await started('own', 'chat', 'auto')).toMatchObject({
    facts: { name: 'model', mergesSystem: true },
  });
  // Nobody chose one, and the model has none.
  const none = await started('none', 'plain', 'auto');
  expect(none.facts).toBeNull();
  // Its rows went through the form that is usual for them all the same.
  expect(['plain', 'alpaca', 'question_answer', 'none']).toContain(none.trained.name);
  expect(none.trained.endTokens.length).toBe(none.trained.endIds.length);
  const { facts } = await started('chosen', 'plain', 'chatml');
  expect(facts).toMatchObject({ name: 'chatml' });
  expect(facts!.stop.length + facts!.endIds.length).toBeGreaterThan(0);
  await expect(core.previews.ofRun('nothing')).rejects.toMatchObject({ code: 'not_found' });
});
