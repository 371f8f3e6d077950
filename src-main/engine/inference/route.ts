import { rowLengths } from '../../data/mix/laidOutRun.ts';
import { dependsOnLength } from '../../formats/families/decoderConfig.ts';
import { TokenFileReader } from '../../formats/files/tokenFile.ts';
import type { BatchLayout } from '../../options/passLayouts.ts';
import { scoredLengths } from '../../options/scoredLengths.ts';
import { modulePath } from '../../shape/adapterSites.ts';
import { throwIfStopped, type JobContext } from '../jobContext.ts';
import { batchFeeds, layOutBatch } from '../model/batches.ts';
import type { ModelGraph } from '../model/modelGraph.ts';
import { createRoutingWatch, RoutingMean } from '../model/routing.ts';
import { checkTask } from '../model/taskNumbers.ts';
import { wholeRowsHidden } from '../model/wholeRows.ts';
import type { RouteRequest, RouteResult } from '../protocol.ts';
import { openModel } from './openModel.ts';

/**
 * The mean weights of the experts of every adapted module over all tokens of the rows of a file, without dropout. Under
 * them the adapter is a LoRA (methods, `Routing.asLora`). Rows are padded to one of a few lengths.
 */
export async function route(request: RouteRequest, context: JobContext): Promise<RouteResult> {
  const file = new TokenFileReader(request.tokenFile);
  const opened = openModel(request.model, context);
  let opening: { close(): void } | null = null;
  try {
    const { model } = opened;
    for (const task of new Set(file.tasks)) checkTask(model.adapter, task);
    const batch = Math.max(1, Math.min(request.batch, file.rowCount));
    const parts = scoredLengths(rowLengths(file), {
      batch,
      context: model.config.contextLength,
      isUniform: model.config.ropes.some(dependsOnLength),
    });
    const built = parts.map(({ tokens }) => routeEntry(model, { batch, tokens }));
    const { routing } = built[0]!;
    const session = await model.open(
      context.tf,
      Object.fromEntries(parts.map(({ tokens }, i) => [String(tokens), built[i]!.entry])),
    );
    opening = session;
    opened.load(session);
    const mean = new RoutingMean(routing);
    let [counted, done] = [0, 0];
    for (const { tokens, rows: fitting } of parts)
      for (let first = 0; first < fitting.length; first += batch) {
        await throwIfStopped(context);
        const rows = fitting.slice(first, first + batch).map((row) => file.row(row));
        const laidOut = layOutBatch(rows, batch, tokens);
        mean.add(session.run(String(tokens), batchFeeds(laidOut)).sums!, laidOut.tokens);
        counted += laidOut.tokens;
        done += rows.length;
        context.emit({ type: 'progress', label: 'Finding the route', done, total: file.rowCount });
      }
    const means = mean.result()?.mean ?? [];
    const { experts, sites } = routing;
    return {
      sites: sites.map((site, i) => ({
        path: modulePath(site),
        weights: means.slice(i * experts, (i + 1) * experts),
      })),
      tokens: counted,
    };
  } finally {
    opening?.close();
    opened.close();
    file.close();
  }
}

function routeEntry(model: ModelGraph, layout: BatchLayout) {
  const rows = layout.batch * layout.tokens;
  const ids = model.graph.placeholder(`ids_${rows}`, [rows], 'i32');
  const watched = createRoutingWatch();
  wholeRowsHidden(model, ids, layout, null, { watch: watched.watch });
  const routing = watched.build(model.graph, rows);
  if (!routing) throw new Error('a route is asked of an adapter without experts');
  const inputs = { ids, counted: routing.counted, ...model.rowInputs(rows) };
  return { routing, entry: { inputs, outputs: { sums: routing.sums } } };
}
