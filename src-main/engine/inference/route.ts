import { TokenFileReader } from '../../formats/files/tokenFile.ts';
import { modulePath } from '../../shape/adapterSites.ts';
import { throwIfStopped, type JobContext } from '../jobContext.ts';
import { batchFeeds, layOutBatch, paddedLength } from '../model/batches.ts';
import type { ModelGraph } from '../model/modelGraph.ts';
import { createRoutingWatch, RoutingMean } from '../model/routing.ts';
import { checkTask } from '../model/taskNumbers.ts';
import { wholeRowsHidden, type BatchLayout } from '../model/wholeRows.ts';
import type { RouteRequest, RouteResult } from '../protocol.ts';
import { openModel } from './openModel.ts';

/**
 * The mean weights of the experts of every adapted module over all tokens of the rows of a file, without dropout. Under
 * them the adapter is a LoRA (methods, `Routing.asLora`).
 */
export async function route(request: RouteRequest, context: JobContext): Promise<RouteResult> {
  const file = new TokenFileReader(request.tokenFile);
  const opened = openModel(request.model, context);
  let opening: { close(): void } | null = null;
  try {
    const { model } = opened;
    for (const task of new Set(file.tasks)) checkTask(model.adapter, task);
    const batch = Math.max(1, Math.min(request.batch, file.rowCount));
    const layout = { batch, tokens: paddedLength([file], model.config.contextLength) };
    const { entry, routing } = routeEntry(model, layout);
    const session = await model.open(context.tf, { route: entry });
    opening = session;
    opened.load(session);
    const mean = new RoutingMean(routing);
    let counted = 0;
    for (let first = 0; first < file.rowCount; first += batch) {
      await throwIfStopped(context);
      const count = Math.min(batch, file.rowCount - first);
      const rows = Array.from({ length: count }, (_, i) => file.row(first + i));
      const laidOut = layOutBatch(rows, batch, layout.tokens);
      mean.add(session.run('route', batchFeeds(laidOut)).sums, laidOut.tokens);
      counted += laidOut.tokens;
      context.emit({
        type: 'progress',
        label: 'Finding the route',
        done: first + count,
        total: file.rowCount,
      });
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
  const ids = model.graph.placeholder('ids', [rows], 'i32');
  const watched = createRoutingWatch();
  wholeRowsHidden(model, ids, layout, null, { watch: watched.watch });
  const routing = watched.build(model.graph, rows);
  if (!routing) throw new Error('a route is asked of an adapter without experts');
  const inputs = { ids, counted: routing.counted, ...model.rowInputs(rows) };
  return { routing, entry: { inputs, outputs: { sums: routing.sums } } };
}
