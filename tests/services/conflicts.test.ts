import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { toPlainError } from '../../src-main/contract/errors.ts';
import { countedTrainable } from '../../src-main/cli/budget/budgetSize.ts';
import { openWritable } from '../../src-main/store/database.ts';
import { enqueueRun, holdQueue } from '../../src-main/store/queue.ts';
import { insertRun } from '../../src-main/store/runs.ts';
import { createCore, type Core } from '../../src-main/core/createCore.ts';
import { neverAborted, openTrainingCore } from '../support/core.ts';
import { sampleRun } from '../support/sampleRun.ts';

/** What the state of things does not allow has a code of its own: no wrong command, and no defect of the studio. */

async function filled(): Promise<{ core: Core; home: string }> {
  const { core: first, home } = await openTrainingCore();
  const model = first.models.get('tiny');
  const dataset = first.datasets.get('sums');
  first.close();
  const database = openWritable(join(home, 'studio.db'));
  const parts = { modelId: model.id, datasetId: dataset.id };
  insertRun(database, sampleRun({ ...parts, name: 'waiting', state: 'queued', step: 0 }));
  insertRun(database, sampleRun({ ...parts, name: 'discarded', state: 'stopped', step: 5 }));
  insertRun(database, sampleRun({ ...parts, name: 'untouched', state: 'done', step: 10 }));
  holdQueue(database, true);
  enqueueRun(database, 'id-waiting', 'last');
  database.writable.close();
  return { core: createCore({ home, project: 'default', mode: 'write' }), home };
}

const { core } = await filled();
afterAll(() => core.close());

const conflicts: [what: string, code: string, act: () => unknown][] = [
  ['remove a model that runs use', 'in_use', () => core.models.remove('tiny')],
  ['remove a dataset that runs use', 'in_use', () => core.datasets.remove('sums')],
  ['resume a run that waits', 'busy', () => core.runs.resume('waiting')],
  ['move a run that does not wait', 'busy', () => core.runs.queue.move(core.runs.get('untouched').id, null)],
  ['resume a run that kept nothing', 'no_checkpoint', () => core.runs.resume('discarded')],
  [
    'export a run without checkpoint',
    'no_checkpoint',
    () => core.exports.create({ run: 'untouched' }, neverAborted),
  ],
  [
    'take a budget from a run that was not counted',
    'busy',
    () => countedTrainable({ name: 'new', trainable: null }),
  ],
];

it.each(conflicts)('has a code for the attempt to %s: %s', async (_what, code, act) => {
  const error = await Promise.resolve()
    .then(act)
    .then(
      () => null,
      (thrown: unknown) => toPlainError(thrown),
    );
  expect(error).toMatchObject({ code });
  expect(error!.message).not.toBe('');
  expect(error!.remedy).not.toBe('');
});
