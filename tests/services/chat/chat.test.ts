import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { StudioEvent } from '../../../src-main/contract/events.ts';
import type { Chat } from '../../../src-main/contract/evaluation/chat.ts';
import { procedures, type ProcedureInput } from '../../../src-main/contract/procedures.ts';
import { trainConfigSchema, type Method } from '../../../src-main/contract/training.ts';
import type { Core } from '../../../src-main/core/createCore.ts';
import { neverAborted, openCoreOn, openTrainingCore } from '../../support/core.ts';
import { patienceMs } from '../../support/patience.ts';

let core: Core;
let home: string;
const events: StudioEvent[] = [];

const train = async (name: string, method: Method, more: object = {}) => {
  const adapter = { method, rank: 4, alpha: 8, ...(method === 'idlora' && { clusters: 2 }) };
  const config = trainConfigSchema.parse({
    adapter,
    maxSteps: 3,
    batch: 2,
    context: 64,
    learningRate: 0.05,
    heldOutFraction: 0,
    ...more,
  });
  await (
    await core.runs.start({ name, model: 'tiny', dataset: 'sums', config })
  ).ended;
};
const open = (...adapters: (string | null)[]) =>
  core.chat.open(
    procedures['chat.open'].input.parse({
      columns: adapters.map((adapter) => ({ model: adapter === null ? 'tiny' : null, adapter })),
      context: 512,
    }),
    neverAborted,
  );
const ask = (
  { id }: Chat,
  prompt: string,
  settings: ProcedureInput<'chat.ask'>['settings'] = { maxTokens: 12 },
  signal = neverAborted,
) => core.chat.ask(procedures['chat.ask'].input.parse({ chat: id, prompt, settings }), signal);
const said = ({ turns }: Chat) => turns.map(({ answers }) => answers.map(({ text }) => text));

beforeAll(async () => {
  ({ core, home } = await openTrainingCore());
  core.events.subscribe(null, ({ event }) => events.push(event));
  await train('plain', 'lora');
  await train('weighed', 'dora');
  await train('routed', 'idlora');
  await train('whole', 'full');
}, 480_000);
afterAll(() => core.close());

describe('a chat', () => {
  it('says in each column what its adapter says alone', async () => {
    const chat = await ask(await open(null, 'plain', 'weighed', 'routed'), 'What is 2 + 3?');
    const alone = [];
    for (const adapter of [null, 'plain', 'weighed', 'routed'])
      alone.push(
        await core.generation.text(
          procedures['generate.text'].input.parse({
            model: 'tiny',
            adapter,
            prompt: 'What is 2 + 3?',
            chat: {},
            maxTokens: 12,
          }),
          neverAborted,
        ),
      );
    expect(said(chat)).toEqual([alone.map(({ text }) => text)]);
    expect(new Set(said(chat)[0]).size).toBeGreaterThan(1);
    expect(chat.columns.map(({ name, method }) => [name, method])).toEqual([
      ['base', null],
      ['plain', 'lora'],
      ['weighed', 'dora'],
      ['routed', 'idlora'],
    ]);
    expect(chat.isAnswering).toBe(false);
  });

  it.each([8, 4])(
    'keeps the base in %d bits where its adapters were trained on it so, and refuses those on the whole one beside',
    async (bits) => {
      const name = `small${bits}`;
      await train(name, 'lora', { [`loadIn${bits}bit`]: true });
      const chat = await ask(await open(null, name), 'What is 2 + 3?');
      expect([chat.loadIn8bit, chat.loadIn4bit]).toEqual([bits === 8, bits === 4]);
      const alone = await core.generation.text(
        procedures['generate.text'].input.parse({
          model: 'tiny',
          adapter: name,
          prompt: 'What is 2 + 3?',
          chat: {},
          maxTokens: 12,
        }),
        neverAborted,
      );
      expect(said(chat)[0]![1]).toBe(alone.text);
      await expect(open('plain', name)).rejects.toMatchObject({
        code: 'config_invalid',
        message: expect.stringContaining(`in ${bits} bits`),
      });
    },
    240_000,
  );

  it('tells what is said while it is said, and each column goes on with its own conversation', async () => {
    const opened = await open(null, 'plain');
    events.length = 0;
    const first = await ask(opened, 'Hi', { maxTokens: 20, temperature: 1, seed: 3, stop: ['zzz'] });
    const parts = events.filter((event) => event.type === 'chat.text');
    expect(parts.length).toBeGreaterThan(0);
    const texts = ['', ''];
    for (const { answers } of parts)
      answers.forEach(({ at, text }, i) => (texts[i] = texts[i]!.slice(0, at) + text));
    said(first)[0]!.forEach((text, i) => expect(text.startsWith(texts[i]!)).toBe(true));
    expect(texts.every((text) => text.length > 0)).toBe(true);
    const second = await ask(first, 'So?', { maxTokens: 4 });
    expect(second.turns).toHaveLength(2);
    second.turns[1]!.answers.forEach(({ sent }, i) => {
      expect(sent).toContain(said(first)[0]![i]!.slice(-10));
      expect(sent).toContain('So?');
    });
    const back = core.chat.rewind(second.id, 1);
    // The same prompt by the same seed is answered alike.
    expect(said(await ask(back, 'So?', { maxTokens: 4 }))).toEqual(said(second));
  });

  it('is asked through the template and with the system text that somebody chose', async () => {
    const chat = await ask(await open('plain'), 'Hi', {
      maxTokens: 2,
      template: { name: 'chatml', system: 'Be brief.' },
    });
    expect(chat.turns[0]!.answers[0]!.sent).toBe(
      '<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n',
    );
  });

  it('ends answers where they are, and refuses a second prompt meanwhile', async () => {
    const chat = await open(null);
    const aborter = new AbortController();
    const asked = ask(
      chat,
      'Tell me everything.',
      { maxTokens: 400, temperature: 1, stop: [] },
      aborter.signal,
    );
    await expect(ask(chat, 'More?')).rejects.toMatchObject({ code: 'busy' });
    await expect(open('plain')).rejects.toMatchObject({ code: 'busy' });
    await expect
      .poll(() => core.chat.state()?.turns[0]?.answers[0]?.tokens ?? 0, { timeout: patienceMs })
      .toBeGreaterThan(0);
    aborter.abort();
    const [answer] = (await asked).turns[0]!.answers;
    expect(answer!.end).toBe('stopped');
    expect(answer!.tokens).toBeLessThan(400);
    expect(answer!.text.length).toBeGreaterThan(0);
  });

  it('refuses columns of two bases, and a conversation that is too long', async () => {
    await expect(open('plain', 'whole')).rejects.toMatchObject({
      code: 'config_invalid',
      message: expect.stringContaining('do not stand on the same base'),
      remedy: expect.stringContaining('"whole" was fully fine-tuned'),
    });
    const chat = await open('whole');
    await expect(ask(chat, 'word '.repeat(600))).rejects.toMatchObject({ code: 'usage' });
    expect(core.chat.state()).toMatchObject({ isAnswering: false, turns: [] });
    expect(said(await ask(chat, 'Hi'))[0]).toHaveLength(1);
  });

  it('loads its model again after it was put away, and is gone when it is closed', async () => {
    const chat = await ask(await open('plain'), 'Hi');
    core.chat.close();
    await expect.poll(() => core.chat.state()?.isOpen).toBe(false);
    const again = await ask(chat, 'Hi');
    expect(again).toMatchObject({ isOpen: true, turns: [{}, {}] });
    core.chat.end(chat.id);
    expect(core.chat.state()).toBeNull();
    await expect(ask(chat, 'Hi')).rejects.toMatchObject({ code: 'not_found' });
  });

  it('stays until a person ends it: over a restart, beside that of another project, and under a script', async () => {
    const hiddenNames = core.chat.setBlind((await open(null, 'plain')).id, true);
    const first = await ask(hiddenNames, 'Hi');
    const chat = core.chat.vote(first.id, 0, { column: 1 });
    const reopen = () => {
      core.close();
      core = openCoreOn(home);
    };
    reopen();
    expect(core.chat.state()).toEqual({ ...chat, isOpen: false });
    const again = await ask(chat, 'So?', { maxTokens: 4 });
    expect(again).toMatchObject({ isOpen: true, turns: [chat.turns[0], {}], blind: chat.blind });
    again.turns[1]!.answers.forEach(({ sent }, i) =>
      expect(sent).toContain(said(first)[0]![i]!.trim().slice(-5)),
    );
    await core.handlers['projects.create']({ title: 'Elsewhere' }, { signal: neverAborted });
    core.projects.open('Elsewhere');
    expect(core.chat.state()).toBeNull();
    await expect(ask(chat, 'Hi')).rejects.toMatchObject({ code: 'not_found' });
    const other = await ask(await open(null), 'Hi', { maxTokens: 2 });
    core.projects.open('default');
    expect(core.chat.state()).toEqual({ ...again, isOpen: false });
    await core.chat.open(
      procedures['chat.open'].input.parse({ columns: [{ model: 'tiny' }], isKept: false }),
      neverAborted,
    );
    // One that is not kept ends with its process, and brings the kept one back.
    core.chat.end(core.chat.state()!.id);
    expect(core.chat.state()).toEqual({ ...again, isOpen: false });
    core.chat.end(chat.id);
    reopen();
    expect(core.chat.state()).toBeNull();
    core.projects.open('Elsewhere');
    expect(core.chat.state()?.id).toBe(other.id);
    core.chat.end(other.id);
    core.projects.open('default');
  });

  it('does not take a process that is on its way out for the one of the next chat', async () => {
    for (const adapter of ['plain', null]) {
      const chat = await open(adapter);
      expect(said(await ask(chat, 'Hi', { maxTokens: 2 }))[0]).toHaveLength(1);
    }
    // Of two that are opened at once, one is the chat and the other ended.
    const both = await Promise.allSettled([open('plain'), open(null)]);
    const opened = both.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    const ended = both.flatMap((one) => (one.status === 'rejected' ? [one.reason as unknown] : []));
    expect(opened).toEqual([core.chat.state()]);
    expect(ended).toMatchObject([{ code: 'cancelled' }]);
    // Somebody who asks while the model is loaded, from another window, is answered once it is.
    core.chat.close();
    const { id } = core.chat.state()!;
    const loading = open(null);
    await expect.poll(() => core.chat.state()!.id).not.toBe(id);
    const answered = await ask(core.chat.state()!, 'Hi', { maxTokens: 2 });
    expect(said(answered)[0]).toHaveLength(1);
    expect((await loading).id).toBe(answered.id);
  });

  it('leaves a prompt of a chat that ended meanwhile unanswered, and the next chat alone', async () => {
    const chat = await open(null);
    const asked = ask(chat, 'Hi', { maxTokens: 2 });
    core.chat.end(chat.id);
    await expect(asked).rejects.toMatchObject({ code: 'not_found' });
    const next = await open(null);
    expect(core.chat.state()).toMatchObject({ id: next.id, isAnswering: false, turns: [] });
  });

  it('keeps prompts as rows of a dataset that is scored', async () => {
    const keep = (prompt: string, expected: string, dataset = 'kept') =>
      core.chat.keep({ dataset, prompt, expected }, neverAborted);
    const first = await keep('2 + 2?', '4');
    const second = await keep('3 + 3?', '6');
    expect([second.id, second.name, first.rows, second.rows]).toEqual([first.id, 'kept', 1, 2]);
    await core.datasets.edit('kept', [{ index: 0, values: { answer: 'four' } }]);
    expect(await keep('1 + 1?', '2')).toMatchObject({ rows: 3, edits: { edited: 1 } });
    const { evaluations } = core;
    const input = { model: 'tiny', benchmark: 'contains', data: { dataset: 'kept' }, maxTokens: 4 };
    const score = await evaluations.start(procedures['evaluations.start'].input.parse(input), neverAborted);
    expect((await evaluations.items(score.id)).map(({ target }) => target)).toEqual(['four', '6', '2']);
    await expect(keep('x', 'y', 'sums')).rejects.toMatchObject({ code: 'name_taken' });
  });
});
