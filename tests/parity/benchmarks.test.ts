import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { procedures } from '../../src-main/contract/procedures.ts';
import type { Core } from '../../src-main/core/createCore.ts';
import { neverAborted, openTestCore } from '../support/core.ts';
import { hasSharedData, recorded, sharedData, sharedNote } from '../support/paths.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';
import { writeRandomLlama } from './generator/randomLlama.ts';

/**
 * Scores item by item against lm-evaluation-harness's (generator/benchmarks.py). `npm test` compares the first items of
 * small models; BENCHMARK_ITEMS=200 compares all that were recorded, those of SmolLM2 too, where it is there.
 */
interface RecordedItem {
  /** First digits of the SHA-256 of the prompt as the harness sent it. */
  prompt: string;
  choices?: number[];
  /** Likewise, of the answer without the spaces around it. */
  output?: string;
  correct: boolean;
}
interface Recorded {
  harness: string;
  chat: boolean;
  tasks: Record<string, RecordedItem[]>;
}

const smollm2 = join(homedir(), '.cache', 'id-lora-studio-tests', 'smollm2-135m-instruct');
/** Their folders, how many items `npm test` compares, and how many tasks were recorded. */
const models = {
  stories260k: { folder: sharedData('stories260K-hf'), items: 24, tasks: 5 },
  random: { folder: join(temporaryFolder(), 'random'), items: 24, tasks: 3 },
  smollm2: { folder: smollm2, items: 0, tasks: 3 },
  'smollm2-chat': { folder: smollm2, items: 0, tasks: 1 },
};
if (hasSharedData) writeRandomLlama(models.random.folder, sharedData('tokenizers', 'phi-3-mini'));
const wanted = Number(process.env['BENCHMARK_ITEMS'] ?? 0);
const paths = {
  commonsenseqa: sharedData('commonsenseqa', 'dev_rand_split.jsonl'),
  gsm8k: sharedData('gsm8k', 'test.jsonl'),
  mmlu: sharedData('mmlu'),
};
const short = (text: string) => createHash('sha256').update(text).digest('hex').slice(0, 16);

describe.skipIf(!hasSharedData).each(Object.entries(models))(
  `%s${sharedNote}`,
  (name, { folder, items, tasks }) => {
    const file = join(recorded, `${name}-benchmarks.json`);
    const limit = wanted || items;
    const isThere = limit > 0 && existsSync(file) && existsSync(folder);
    const values = isThere
      ? (JSON.parse(readFileSync(file, 'utf8')) as Recorded)
      : { tasks: {}, chat: false };
    let core: Core;
    beforeAll(() => {
      ({ core } = openTestCore());
    });
    afterAll(() => core.close());

    it.skipIf(!isThere)(`was recorded (skipped: BENCHMARK_ITEMS=200 compares ${name})`, () => {
      expect(Object.keys(values.tasks).length).toBe(tasks);
    });

    it.each(Object.entries(values.tasks))(
      '%s: the harness’s prompts, log-likelihoods within 0.001, and its answers',
      { timeout: 3_600_000 },
      async (task, all) => {
        const [benchmark, shots] = task.split(', ') as [keyof typeof paths, string | undefined];
        const wantedItems = all.slice(0, limit);
        const { id, prompts } = await core.evaluations.start(
          procedures['evaluations.start'].input.parse({
            model: folder,
            benchmark,
            data: { path: paths[benchmark] },
            limit: wantedItems.length,
            shots: shots === undefined ? 0 : Number.parseInt(shots, 10),
            ...(values.chat && { chat: true }),
          }),
          neverAborted,
        );
        expect(short(prompts!.first)).toBe(wantedItems[0]!.prompt);
        const found = await core.evaluations.items(id);
        let same = 0;
        wantedItems.forEach(({ choices, output, correct }, i) => {
          const item = found[i]!;
          if (choices) {
            const worst = choices.reduce(
              (most, value, c) => Math.max(most, Math.abs(value - item.choiceLogLikelihoods![c]!)),
              0,
            );
            expect(worst, `item ${i}`).toBeLessThan(1e-3);
            expect(item.correct, `item ${i}`).toBe(correct);
          }
          if (output !== undefined && short(item.output!.trim()) === output) same++;
        });
        // Two likeliest tokens may be as likely: another order of sums then chooses another one. 195 of 200; of few
        // items all but one.
        const { length } = wantedItems;
        if (wantedItems[0]!.output !== undefined)
          expect(same).toBeGreaterThanOrEqual(Math.min(Math.ceil((195 / 200) * length), length - 1));
      },
    );
  },
);
