import { mkdtempSync, rmSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { trainConfigSchema } from '../../src-main/contract/training.ts';
import { createCore } from '../../src-main/core/createCore.ts';
import { starterScoring, starterSettings, starterTasks } from '../../src-main/services/projects/starter.ts';

/** What the starter lab promises (docs/starter.md), on all test items. */
const longestMinutes = 4;
const unable = { gsm8k: 0.1, humaneval: 0.1, mmlu: 0.25 + 0.1, refusal: 0.5 + 0.1 };

it('the starter model cannot do its tasks, and learns them with LoRA within four minutes', async () => {
  const { signal } = new AbortController();
  const home = mkdtempSync(join(tmpdir(), 'id-lora-starter-'));
  const core = createCore({ home, project: 'default', mode: 'write' });
  try {
    core.grading.allowForNow();
    const { model, mix } = await core.addStarter();
    const config = trainConfigSchema.parse({
      ...starterSettings,
      adapter: { method: 'lora', rank: 6, alpha: 12 },
    });
    const begin = performance.now();
    const { run, ended } = await core.runs.start(
      { name: 'lora', model: model.id, dataset: mix.id, config },
      () => {},
    );
    expect((await ended).error).toBeNull();
    const minutes = (performance.now() - begin) / 60_000;
    const score = async (adapter: string | null) =>
      Object.fromEntries(
        await Promise.all(
          starterTasks.map(async (task) => {
            const asked = {
              ...starterScoring(task, null),
              model: model.id,
              adapter,
              precision: 'f32' as const,
            };
            return [task.benchmark, (await core.evaluations.start(asked, signal)).score] as const;
          }),
        ),
      );
    const [before, after] = [await score(null), await score(run.id)];
    console.log(
      `base ${JSON.stringify(before)}, LoRA ${JSON.stringify(after)} after ${minutes.toFixed(1)} min; load ${loadavg()[0]!.toFixed(1)}`,
    );
    for (const { benchmark } of starterTasks)
      expect(before[benchmark], benchmark).toBeLessThanOrEqual(unable[benchmark]);
    expect(Object.values(after).filter((value) => value > 0.6).length).toBeGreaterThan(1);
    expect(minutes).toBeLessThan(longestMinutes);
  } finally {
    core.close();
    rmSync(home, { recursive: true, force: true });
  }
});
