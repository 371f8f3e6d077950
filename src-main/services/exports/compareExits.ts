import { existsSync } from 'node:fs';
import type { Model, Run } from '../../contract/entities.ts';
import type { ComparedExit, ExportRecord } from '../../contract/results.ts';
import { certificateVerdict, exitsOf } from '../../options/exits.ts';
import { listExports } from '../../store/results.ts';
import { createRandom } from '../../statistics/random.ts';
import type { ServiceContext } from '../context.ts';
import { withProgress } from '../progress.ts';

/** Tokens that are read and decoded to measure a speed. */
const promptTokens = 16;
const decodedTokens = 48;

/**
 * The ways out of a run side by side, each with its newest export.
 * @param base.model to decode with what was exported, which tells the speeds; null: they are not measured
 */
export async function compareExits(
  context: ServiceContext,
  run: Run,
  { family, model }: { family: string | null; model: Model | null },
  signal: AbortSignal,
): Promise<ComparedExit[]> {
  const records = listExports(context.database);
  const newest = new Map(records.toReversed().map((record) => [record.folder, record]));
  const made = [...newest.values()].filter(({ runId, folder }) => runId === run.id && existsSync(folder));
  const rows = exitsOf(run.config.adapter.method, family).map(
    ({ format, title, runsIn, problem }): ComparedExit => {
      const own = made.filter((record) => record.format === format);
      const record = own.toSorted((a, b) => a.createdAt.localeCompare(b.createdAt)).at(-1) ?? null;
      return { format, title, runsIn, problem, made: record && described(record), tokensPerSecond: null };
    },
  );
  if (!model) return rows;
  return withProgress(context, `export ${run.name}`, 'Measuring speeds', async (report) => {
    const measured: ComparedExit[] = [];
    for (const row of rows) {
      if (row.made) report(`Measuring the speed of: ${row.title}`);
      // llama.cpp decodes what is made for it, in its own time.
      const isOurs = !row.format.startsWith('gguf');
      const speed =
        row.made && isOurs ? await speedOf(context, model, row.made.folder, row.format, signal) : null;
      measured.push({ ...row, tokensPerSecond: speed });
    }
    return measured;
  });
}

function described({ id, folder, files, certificate }: ExportRecord): NonNullable<ComparedExit['made']> {
  const { short, isGood } = certificateVerdict(certificate);
  const { maxLogitDifference, kl, frozen, sameChoices, tokens, dtype } = certificate;
  return {
    id,
    folder,
    sizeBytes: files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    verdict: short,
    isGood,
    maxLogitDifference,
    kl: kl ?? frozen?.kl ?? null,
    sameChoices: sameChoices === undefined ? null : sameChoices / tokens,
    dtype: dtype ?? null,
  };
}

async function speedOf(
  context: ServiceContext,
  model: Model,
  folder: string,
  format: ComparedExit['format'],
  signal: AbortSignal,
): Promise<number> {
  const random = createRandom(1);
  const isWhole = format === 'merged';
  const room = Math.max(1, model.contextLength - promptTokens);
  const request = {
    kind: 'generate',
    model: {
      folder: isWhole ? folder : model.folder,
      precision: 'f32',
      adapterFolder: isWhole ? null : folder,
    },
    prompts: [Array.from({ length: promptTokens }, () => random.integer(model.vocabularySize))],
    maxTokens: Math.min(decodedTokens, room),
    temperature: 0,
    topP: 1,
    seed: 0,
    stop: [],
    // None that there is: every form decodes as many.
    endIds: [model.vocabularySize],
    batch: 1,
  } as const;
  return (await context.engine.start(request, { signal }).result).tokensPerSecond;
}
