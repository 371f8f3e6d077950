import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { procedures } from '../../../src-main/contract/procedures.ts';
import { keepChat, keptChatSchema, readChat } from '../../../src-main/store/chats.ts';
import { openReadable, openWritable } from '../../../src-main/store/database.ts';
import { neverAborted, openTrainingCore } from '../../support/core.ts';
import { fixtures, recorded } from '../../support/paths.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';

it('a chat from elsewhere asks the runs that came with it, and nothing else of this machine', async () => {
  const folder = join(recorded, 'elsewhere', 'lora-uneven');
  const [there, here] = [await openTrainingCore(), await openTrainingCore()];
  const came = await there.core.adapters.add({ folder, model: 'tiny', name: 'mine' }, neverAborted);
  // Runs of the same names, which a column of the chat could be taken for.
  for (const name of ['mine', 'theirs'])
    await here.core.adapters.add({ folder, model: 'tiny', name }, neverAborted);
  const model = there.core.models.get('tiny').id;
  const template = { name: 'plain', system: null } as const;
  const stranger = join(temporaryFolder(), 'model');
  cpSync(join(fixtures, 'tiny-qwen2'), stranger, { recursive: true });
  const asked = [
    { model, adapter: came.id },
    { model, adapter: '/home/me/adapters/theirs' },
    { model, adapter: 'mine' },
    // A path that is there: asking must not take it into the library.
    { model: stranger, adapter: null },
  ];
  const answer = { text: '5', tokens: 1, end: 'stop', tokensPerSecond: 9, promptTokens: 4, sent: '2 + 3' };
  const chat = {
    id: 'chat',
    model: { id: model, name: 'tiny' },
    precision: 'f32',
    loadIn8bit: false,
    context: 64,
    columns: asked.map(({ adapter }) => ({
      name: adapter ?? 'base',
      runId: adapter === came.id ? came.id : null,
      method: null,
      template,
    })),
    isOpen: false,
    isAnswering: false,
    turns: [{ prompt: '2 + 3', answers: asked.map(() => answer) }],
  };
  const keep = (columns: typeof asked) => {
    const writable = openWritable(join(there.home, 'studio.db'));
    keepChat(writable, 'default', keptChatSchema.parse({ chat, asked: { columns } }));
    writable.writable.close();
  };
  keep(asked);
  const archive = join(temporaryFolder(), 'project.tar');
  await there.core.projects.exportTo(null, archive, neverAborted);
  const imported = await here.core.projects.importFrom(archive, 'default', neverAborted);
  expect(imported).toMatchObject({ chat: 'added', renamed: [{ from: 'mine', to: 'mine-2' }] });
  const database = openReadable(join(here.home, 'studio.db'));
  const own = here.core.models.get('tiny').id;
  expect(readChat(database, 'default')!.asked.columns).toEqual([
    { model: own, adapter: came.id },
    ...[1, 2, 3].map(() => ({ model: own, adapter: null })),
  ]);
  database.readable.close();
  const state = here.core.chat.state()!;
  expect(state.columns.map(({ name }) => name)).toEqual([
    'mine-2',
    'base (theirs is not here)',
    'base (mine is not here)',
    'base',
  ]);
  const settings = { maxTokens: 8 };
  const input = procedures['chat.ask'].input.parse({ chat: 'chat', prompt: 'And 4 + 4?', settings });
  const { turns } = await here.core.chat.ask(input, neverAborted);
  const [, ...ofBase] = turns[1]!.answers.map(({ text }) => text);
  expect(ofBase).toHaveLength(3);
  expect(new Set(ofBase).size).toBe(1);
  expect(here.core.models.list()).toHaveLength(1);
  // Columns that are shown and columns that are asked are the same ones.
  keep(asked.slice(1));
  await there.core.projects.exportTo(null, `${archive}.2`, neverAborted);
  here.core.close();
  const third = await openTrainingCore();
  await expect(third.core.projects.importFrom(`${archive}.2`, null, neverAborted)).rejects.toMatchObject({
    code: 'archive_invalid',
  });
  third.core.close();
  there.core.close();
});
