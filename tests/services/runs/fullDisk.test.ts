import { execFileSync } from 'node:child_process';
import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { trainConfigSchema } from '../../../src-main/contract/training.ts';
import { toPlainError } from '../../../src-main/contract/errors.ts';
import { createCore } from '../../../src-main/core/createCore.ts';
import { listCheckpoints } from '../../../src-main/formats/checkpoint/checkpointFolder.ts';
import { writeGeneratedDataset } from '../../fixtures/generatedDataset.ts';
import { smallDisk } from '../../support/faults/smallDisk.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';
import { tinyLlama } from '../../support/paths.ts';
import { patienceMs } from '../../support/patience.ts';

const disk = smallDisk(1500);
afterAll(() => {
  if (disk) execFileSync('umount', ['-l', disk]);
});

describe.skipIf(disk === null)('a full disk (skipped where no file system can be mounted)', () => {
  it('ends an import and a run with a clear error; what was there stays, and with space all goes on', async () => {
    const home = disk!;
    const core = createCore({ home, project: 'default', mode: 'write' });
    const small = join(temporaryFolder(), 'small.jsonl');
    const large = join(temporaryFolder(), 'large.jsonl');
    writeGeneratedDataset(small, 60, 1);
    writeGeneratedDataset(large, 20_000, 1);
    await core.models.add({ folder: tinyLlama, name: 'tiny', copy: false });
    await core.datasets.add({ path: small, name: 'small', format: 'auto' });
    const files = readdirSync(join(home, 'datasets'));

    const thrown: unknown = await core.datasets
      .add({ path: large, format: 'auto' })
      .catch((error: unknown) => error);
    // Refused before anything is written, with what it needs and what there is.
    expect(toPlainError(thrown)).toMatchObject({
      code: 'disk_full',
      message: expect.stringMatching(
        /^The copy of these files needs 0\.\d+ GB .*; 0\.00\d GB are free at /,
      ) as string,
    });
    expect(core.datasets.list().map(({ name }) => name)).toEqual(['small']);
    expect(readdirSync(join(home, 'datasets'))).toEqual(files);

    const config = trainConfigSchema.parse({
      adapter: { method: 'lora', rank: 8, alpha: 8 },
      maxSteps: 400,
      batch: 4,
      context: 64,
      checkpointEvery: 1,
    });
    const filler = join(home, 'filler');
    let checkpoints = 0;
    const { ended } = await core.runs.start(
      { name: 'r', model: 'tiny', dataset: 'small', config },
      (event) => {
        if (event.type !== 'checkpoint' || ++checkpoints !== 2) return;
        try {
          writeFileSync(filler, Buffer.alloc(2_000_000));
        } catch {
          // Full: as intended.
        }
      },
    );
    expect(await ended).toMatchObject({ state: 'failed', error: { code: 'disk_full' } });
    const kept = listCheckpoints(join(home, 'runs', core.runs.get('r').id, 'checkpoints'));
    expect(kept.length).toBeGreaterThan(0);
    rmSync(filler);
    // What could not be written of its end is written once there is space.
    await expect.poll(() => core.runs.get('r').state, { timeout: patienceMs }).toBe('failed');
    core.close();
    const again = createCore({ home, project: 'default', mode: 'write' });
    const recovered = again.runs.get('r');
    expect(recovered).toMatchObject({ state: 'failed', error: { code: 'disk_full' }, resumable: true });
    const resumed = await (
      await again.runs.resume('r', undefined, { maxSteps: recovered.step + 2, checkpointEvery: 0 })
    ).ended;
    expect(resumed.state).toBe('done');
    again.close();
  });
});
