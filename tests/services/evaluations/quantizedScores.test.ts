import { expect, it } from 'vitest';
import { procedures } from '../../../src-main/contract/procedures.ts';
import { trainConfigSchema } from '../../../src-main/contract/training.ts';
import type { EngineHost } from '../../../src-main/engine/process/supervisor.ts';
import type { GenerateRequest, GenerateResult } from '../../../src-main/engine/protocol.ts';
import { neverAborted, openTrainingCore, sharedEngine } from '../../support/core.ts';

/** An engine that keeps what was to be generated, and what was. */
function keepingEngine() {
  const host = sharedEngine();
  const kept: { request: GenerateRequest; result: Promise<GenerateResult> }[] = [];
  const engine: EngineHost = {
    ...host,
    start(request, options) {
      const job = host.start(request, options);
      if (request.kind === 'generate')
        kept.push({ request, result: job.result as unknown as Promise<GenerateResult> });
      return job;
    },
  };
  return { host, engine, kept };
}

it.each(['nf4', 'int8'] as const)(
  'answers of a run on a base in %s are scored together as one by one',
  async (kept) => {
    const { host, engine, kept: asked } = keepingEngine();
    const { core } = await openTrainingCore(engine);
    try {
      const config = trainConfigSchema.parse({
        adapter: { method: 'idlora', rank: 2, alpha: 4, clusters: 2 },
        loadIn4bit: kept === 'nf4',
        loadIn8bit: kept === 'int8',
        learningRate: 0.01,
        maxSteps: 6,
        batch: 2,
        context: 64,
      });
      await (
        await core.runs.start({ name: 'mine', model: 'tiny', dataset: 'sums', config })
      ).ended;
      const input = procedures['evaluations.start'].input.parse({
        model: 'tiny',
        adapter: 'mine',
        benchmark: 'exact_match',
        data: { dataset: 'sums' },
        limit: 12,
        maxTokens: 6,
      });
      const { id } = await core.evaluations.start(input, neverAborted);
      expect(await core.evaluations.items(id)).toHaveLength(12);
      const all = await Promise.all(
        asked.map(async ({ request, result }) => ({ request, rows: (await result).rows })),
      );
      expect(all.flatMap(({ rows }) => rows)).toHaveLength(12);
      for (const { request, rows } of all) {
        expect(request.model.quantization).toBe(kept);
        expect(request.batch).toBeGreaterThan(1);
        for (const [i, prompt] of request.prompts.entries()) {
          const { rows: alone } = await host.start({ ...request, prompts: [prompt], batch: 1 }).result;
          expect(rows[i]!.ids).toEqual(alone[0]!.ids);
          if (i === 3) break;
        }
      }
    } finally {
      core.close();
    }
  },
);
