import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Dataset, Model, Run } from '../../contract/entities.ts';
import { StudioError } from '../../contract/errors.ts';
import type { FrozenRoute } from '../../contract/results.ts';
import type { Row } from '../../contract/rows.ts';
import { readRows } from '../../data/readRows.ts';
import { renderingOf } from '../../data/rendering/tokenizeRow.ts';
import { fitToContext } from '../../data/tokenize.ts';
import type { EngineEvent } from '../../engine/messages.ts';
import type { ModelReference, RouteResult } from '../../engine/protocol.ts';
import { writeTokenFile } from '../../formats/files/tokenFile.ts';
import { newId, type ServiceContext } from '../context.ts';
import type { ReportPart } from '../progress.ts';
import { tokenizedRows } from '../tokenizer/tokenizedRows.ts';
import { withTokenizerThread } from '../tokenizer/tokenizerThread.ts';

/** Over so many rows a route is averaged. */
const calibrationRows = 64;
const batch = 8;

/** The mean route of an adapter over rows of a dataset, and what is found on the same rows later. */
export interface Calibration {
  route: RouteResult['sites'];
  /** Scores the routed adapter and its frozen form on the rows. */
  compare(frozen: ModelReference): Promise<Omit<FrozenRoute, 'kl'>>;
  close(): void;
}

/**
 * Averages the route of a run's adapter over the first rows of a dataset, as the run's template shows them.
 * @throws StudioError dataset_empty where no row is left
 */
export async function calibrate(
  context: ServiceContext,
  { run, model, dataset, routed }: { run: Run; model: Model; dataset: Dataset; routed: ModelReference },
  { signal, report }: { signal: AbortSignal; report: ReportPart },
): Promise<Calibration> {
  const rows: Row[] = [];
  for await (const { row } of readRows(context.paths.datasets, dataset, { limit: calibrationRows }))
    rows.push(row);
  const { rows: tokens } = await withTokenizerThread(signal, (thread) =>
    fitToContext(
      tokenizedRows(thread, model, rows, renderingOf(dataset, run.config)),
      Math.min(run.config.context, model.contextLength),
    ),
  );
  if (tokens.length === 0)
    throw new StudioError(
      'dataset_empty',
      `No row of "${dataset.name}" is left to average the route over.`,
      'Choose another dataset to calibrate with.',
    );
  const tokenFile = join(context.paths.cache, 'tokens', `${newId()}.route`);
  writeTokenFile(tokenFile, tokens);
  const close = () => rmSync(tokenFile, { force: true });
  const told = (part: string) => ({
    signal,
    onEvent: (event: EngineEvent) => {
      if (event.type === 'progress') report(part, event.done, event.total);
    },
  });
  const loss = async (reference: ModelReference): Promise<number | null> => {
    const request = { kind: 'score', model: reference, tokenFile, batch } as const;
    const scored = (await context.engine.start(request, told('Scoring the rows')).result).rows;
    const answered = scored.reduce((sum, row) => sum + row.tokens, 0);
    return answered === 0 ? null : scored.reduce((sum, row) => sum + row.lossSum, 0) / answered;
  };
  try {
    const request = { kind: 'route', model: routed, tokenFile, batch } as const;
    const found = await context.engine.start(request, told('Averaging the route')).result;
    return {
      route: found.sites,
      compare: async (frozen) => ({
        dataset: dataset.name,
        rows: tokens.length,
        tokens: found.tokens,
        routedLoss: await loss(routed),
        frozenLoss: await loss(frozen),
      }),
      close,
    };
  } catch (error) {
    close();
    throw error;
  }
}
