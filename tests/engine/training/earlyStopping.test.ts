import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { TrainConfigInput } from '../../../src-main/contract/training.ts';
import { listCheckpoints } from '../../../src-main/formats/checkpoint/checkpointFolder.ts';
import type { EngineEvent } from '../../../src-main/engine/messages.ts';
import { afterEvaluation, startOfRun } from '../../../src-main/engine/training/progress.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';
import { checkpointFiles, trainTiny } from '../../support/trainingRun.ts';

/** Random rows are learnt by heart: the held-out loss falls, then rises. */
const config: TrainConfigInput = {
  adapter: { method: 'lora', rank: 8, alpha: 16, dropout: 0.1 },
  learningRate: 1e-2,
  schedule: 'constant',
  maxSteps: 60,
  batch: 4,
  context: 32,
  seed: 5,
  evalEvery: 2,
  checkpointEvery: 4,
  earlyStoppingPatience: 3,
  keepBest: true,
};

const evaluationsOf = (events: readonly EngineEvent[]) =>
  events.flatMap((event) => (event.type === 'eval' ? [{ step: event.step, loss: event.loss }] : []));
const kept = (folder: string) =>
  listCheckpoints(join(folder, 'checkpoints')).map((path) => Number(path.slice(-8)));

/** The files of a checkpoint, its progress without the planned rates. */
function learnt(checkpoint: string): Record<string, unknown> {
  const state = JSON.parse(readFileSync(join(checkpoint, 'state.json'), 'utf8')) as Record<string, unknown>;
  return { ...checkpointFiles(checkpoint), 'state.json': { ...state, rates: null } };
}

it('training ends three evaluations after the lowest held-out loss, whose checkpoint stays', async () => {
  const folder = temporaryFolder();
  const { events, result } = await trainTiny({ config, folder });
  const evaluations = evaluationsOf(events);
  const best = evaluations.reduce((a, b) => (b.loss < a.loss ? b : a));
  expect(result).toMatchObject({ outcome: 'early_stopped', step: best.step + 6, best });
  expect(evaluations.at(-1)!.step).toBe(best.step + 6);
  expect(kept(folder)).toContain(best.step);
  expect(kept(folder).at(-1)).toBe(best.step + 6);
  expect(kept(folder).length).toBeLessThanOrEqual(3);

  // The kept checkpoint is the state of that step. (A run that is planned for as many steps lies in lines of other
  // lengths, and so has other dropout masks.)
  const until = await trainTiny({ config, folder: temporaryFolder(), stopAfter: best.step });
  const path = listCheckpoints(join(folder, 'checkpoints')).find((p) => Number(p.slice(-8)) === best.step)!;
  expect(learnt(path)).toEqual(learnt(until.result.checkpoint!));

  // Patience and the best step come back with a checkpoint.
  const cut = temporaryFolder();
  const first = await trainTiny({ config, folder: cut, stopAfter: best.step + 1 });
  expect(first.result).toMatchObject({ outcome: 'stopped', best });
  const second = await trainTiny({ config, folder: cut, resumeFrom: first.result.checkpoint });
  expect(second.events.find((event) => event.type === 'start')).toMatchObject({ best });
  expect(second.result).toMatchObject({ outcome: 'early_stopped', step: best.step + 6, best });
  expect(kept(cut)).toEqual(kept(folder));

  // It has ended: going on needs more patience.
  const again = await trainTiny({ config, folder: cut, resumeFrom: second.result.checkpoint });
  expect(again.result).toMatchObject({ outcome: 'early_stopped', step: best.step + 6 });
  const longer = await trainTiny({
    config: { ...config, earlyStoppingPatience: 5 },
    folder: cut,
    resumeFrom: second.result.checkpoint,
  });
  expect(longer.result.step).toBeGreaterThan(best.step + 6);
});

it('without keepBest only the latest two stay; without patience all steps run, and the best step is known', async () => {
  const folder = temporaryFolder();
  const { result, events } = await trainTiny({
    config: { ...config, maxSteps: 40, earlyStoppingPatience: null, keepBest: false },
    folder,
  });
  const evaluations = evaluationsOf(events);
  expect(result).toMatchObject({
    outcome: 'done',
    step: 40,
    best: evaluations.reduce((a, b) => (b.loss < a.loss ? b : a)),
  });
  expect(kept(folder)).toEqual([36, 40]);
});

it('a held-out loss that is not finite, or only equal, is not the best', () => {
  const once = afterEvaluation({ ...startOfRun, step: 5 }, 2);
  expect(once).toMatchObject({ best: { step: 5, loss: 2 }, evaluationsSinceBest: 0 });
  const more = [NaN, Infinity, 2].reduce(afterEvaluation, { ...once, step: 9 });
  expect(more).toMatchObject({ best: { step: 5, loss: 2 }, evaluationsSinceBest: 3 });
});

it('refuses to begin without held-out rows', async () => {
  await expect(
    trainTiny({ config: { ...config, heldOutRows: 0 }, folder: temporaryFolder() }),
  ).rejects.toMatchObject({
    code: 'config_invalid',
    option: ['earlyStoppingPatience'],
    message: expect.stringContaining('held-out rows') as string,
  });
});
