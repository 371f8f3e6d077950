import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { createCardMeter } from '../../../src-main/services/machine/cardMeter.ts';
import { pretendCards, type PretendCards } from '../../support/cards/pretendCards.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';

const mebibyte = 2 ** 20;
const pid = 4711;
let pretended: PretendCards;
beforeEach(() => {
  vi.stubEnv('PATH', process.env['PATH']);
  pretended = pretendCards(2);
});
afterEach(() => {
  pretended.close();
  vi.unstubAllEnvs();
});

/** A meter on the second card whose clock the test moves. */
async function begin(isAlone: () => boolean = () => true) {
  let now = 0;
  const meter = createCardMeter({ card: '1', pid, isAlone }, () => now);
  // What was in use before is known.
  await meter.read();
  const see = async () => {
    now += 10_000;
    meter.look();
    return meter.read();
  };
  return { meter, see, wait: (ms: number) => (now += ms) };
}

it('takes what the driver tells of the process, the greatest of it', async () => {
  const { see } = await begin();
  const useBy = (mebibytes: number | string) =>
    pretended.useBy([
      { pid: 1, mebibytes: 9000 },
      { pid, mebibytes },
    ]);
  useBy(3000);
  expect(await see()).toEqual({ bytes: 3000 * mebibyte, by: 'process', note: null });
  useBy(8000);
  await see();
  useBy(2000);
  expect(await see()).toEqual({ bytes: 8000 * mebibyte, by: 'process', note: null });
  // It has ended: nothing is told of it any more, and what others use of the card is not taken for it.
  pretended.useBy([]);
  pretended.use(1, 20_000);
  expect(await see()).toEqual({ bytes: 8000 * mebibyte, by: 'process', note: null });
});

it('takes what its card is used more than before, where the driver does not tell of processes', async () => {
  pretended.use(0, 20_000);
  for (const processes of [[], [{ pid, mebibytes: '[N/A]' }], [{ pid: 12, mebibytes: 700 }]]) {
    pretended.use(1, 500);
    const { see } = await begin();
    pretended.useBy(processes);
    pretended.use(1, 6500);
    await see();
    pretended.use(1, 4500);
    expect(await see()).toEqual({ bytes: 6000 * mebibyte, by: 'card', note: null });
  }
});

it('looks at most every five seconds', async () => {
  const { meter, see, wait } = await begin();
  pretended.useBy([{ pid, mebibytes: 1000 }]);
  await see();
  pretended.useBy([{ pid, mebibytes: 2000 }]);
  wait(4000);
  meter.look();
  expect((await meter.read()).bytes).toBe(1000 * mebibyte);
  wait(1000);
  meter.look();
  expect((await meter.read()).bytes).toBe(2000 * mebibyte);
});

it('looks once at a time, however long nvidia-smi takes', async () => {
  const folder = temporaryFolder();
  const calls = join(folder, 'calls');
  const script = `#!/bin/sh\necho call >> '${calls}'\n/bin/sleep 0.5\nexit 9\n`;
  writeFileSync(join(folder, 'nvidia-smi'), script, { mode: 0o755 });
  vi.stubEnv('PATH', folder);
  const { meter, wait } = await begin();
  for (let step = 0; step < 20; step++) {
    wait(10_000);
    meter.look();
  }
  await meter.read();
  const count = () => readFileSync(calls, 'utf8').trim().split('\n').length;
  // One before the job, and one look.
  expect(count()).toBe(2);
  wait(10_000);
  meter.look();
  await meter.read();
  expect(count()).toBe(3);
});

it('says why it knows nothing', async () => {
  const untold = { bytes: null, by: null };
  const { meter, see } = await begin();
  expect(await meter.read()).toEqual({ ...untold, note: 'no step was seen' });
  pretended.use(1, '[N/A]');
  expect(await see()).toEqual({ ...untold, note: 'nvidia-smi says N/A' });

  let alone = true;
  pretended.use(1, 500);
  const shared = await begin(() => alone);
  pretended.use(1, 5000);
  expect((await shared.see()).by).toBe('card');
  alone = false;
  expect((await shared.see()).note).toContain('other jobs of the studio');
  // What was counted of the card is not the run's alone from then on.
  alone = true;
  expect((await shared.see()).bytes).toBeNull();

  const folder = temporaryFolder();
  writeFileSync(join(folder, 'nvidia-smi'), '#!/bin/sh\nexit 9\n', { mode: 0o755 });
  vi.stubEnv('PATH', folder);
  expect((await (await begin()).see()).note).toBe('nvidia-smi failed (9)');
  vi.stubEnv('PATH', temporaryFolder());
  expect((await (await begin()).see()).note).toBe('there is no nvidia-smi');
});
