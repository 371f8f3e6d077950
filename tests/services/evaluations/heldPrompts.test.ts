import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { procedures } from '../../../src-main/contract/procedures.ts';
import { createCore, type Core } from '../../../src-main/core/createCore.ts';
import type { EngineHost } from '../../../src-main/engine/process/supervisor.ts';
import { fixtures } from '../../support/paths.ts';
import { neverAborted, sharedEngine } from '../../support/core.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';

/** Prompts go to the tokenizer so many at a time. */
const promptsAtOnce = 64;
const heldTokens = 2000;

interface Sent {
  prompts: number;
  tokens: number;
  longest: number;
}

/** An engine that counts what it is sent at once. */
function countingEngine(): { engine: EngineHost; sent: Sent[] } {
  const host = sharedEngine();
  const sent: Sent[] = [];
  const engine: EngineHost = {
    ...host,
    start(request, options) {
      const lengths =
        request.kind === 'choices'
          ? request.items.map(({ prompt, choices }) => prompt.length + choices.flat().length)
          : request.kind === 'generate'
            ? request.prompts.map(({ length }) => length)
            : null;
      if (lengths)
        sent.push({
          prompts: lengths.length,
          tokens: lengths.reduce((sum, length) => sum + length, 0),
          longest: Math.max(...lengths),
        });
      return host.start(request, options);
    },
  };
  return { engine, sent };
}

/** Scores by a file of questions with five examples before each. @returns items, and what the engine was sent */
async function score(file: string, benchmark: string, more: { limit?: number; heldTokens?: number }) {
  const { engine, sent } = countingEngine();
  const { limit, ...options } = more;
  const core: Core = createCore({
    home: temporaryFolder(),
    project: 'default',
    mode: 'write',
    engine,
    ...options,
  });
  try {
    const input = procedures['evaluations.start'].input.parse({
      model: join(fixtures, 'tiny-llama'),
      benchmark,
      data: { path: file },
      shots: 5,
      limit,
      maxTokens: 2,
    });
    const { forecast } = await core.evaluations.forecast(input, neverAborted);
    const { id, prompts } = await core.evaluations.start(input, neverAborted);
    return { items: await core.evaluations.items(id), sent, prompts, forecast };
  } finally {
    core.close();
  }
}

it.each([
  ['multiple_choice', 140],
  ['exact_match', 90],
] as const)('%s with five examples is sent in parts, with the same outcome', async (benchmark, count) => {
  const file = join(temporaryFolder(), `${benchmark}.jsonl`);
  const rows = Array.from({ length: count }, (_, i) => ({
    question: `How many are ${i} apples and ${i % 7} pears`,
    ...(benchmark === 'multiple_choice' && { choices: [`${i}`, `${i + (i % 7)}`, 'none'] }),
    answer: benchmark === 'multiple_choice' ? 'B' : `${i + (i % 7)}`,
  }));
  writeFileSync(file, rows.map((row) => JSON.stringify(row)).join('\n'));
  const whole = await score(file, benchmark, {});
  const parts = await score(file, benchmark, { heldTokens });
  expect(whole.sent.map(({ prompts }) => prompts)).toEqual([count]);
  // Never more than were allowed, and the prompts with which that was reached.
  const most = heldTokens + promptsAtOnce * whole.sent[0]!.longest;
  expect(whole.sent[0]!.tokens).toBeGreaterThan(most);
  expect(parts.sent.length).toBeGreaterThan(1);
  for (const { tokens } of parts.sent) expect(tokens).toBeLessThanOrEqual(most);
  expect(parts.sent.reduce((sum, { tokens }) => sum + tokens, 0)).toBe(whole.sent[0]!.tokens);
  expect(parts.prompts).toEqual(whole.prompts);
  expect(parts.forecast.rowTokens).toBe(whole.forecast.rowTokens);
  parts.items.forEach((item, i) => {
    const other = whole.items[i]!;
    expect([item.id, item.correct, item.output]).toEqual([other.id, other.correct, other.output]);
    item.choiceLogLikelihoods?.forEach((value, c) =>
      expect(value).toBeCloseTo(other.choiceLogLikelihoods![c]!, 4),
    );
  });
});
