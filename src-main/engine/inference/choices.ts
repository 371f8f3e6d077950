import { dependsOnLength } from '../../formats/families/decoderConfig.ts';
import { scoredLengths } from '../../options/scoredLengths.ts';
import { gather } from '../graph/ops/layout.ts';
import { throwIfStopped, type JobContext } from '../jobContext.ts';
import { positionScores } from '../model/loss.ts';
import type { ModelGraph } from '../model/modelGraph.ts';
import { checkTask } from '../model/taskNumbers.ts';
import { wholeRowsHidden, type BatchLayout } from '../model/wholeRows.ts';
import type { ChoiceItem, ChoicesRequest, ChoicesResult, ChosenRow } from '../protocol.ts';
import { peakMemoryBytes } from '../runtime/peakMemory.ts';
import { checkItems, layOutRows, pickCount, separateRows, type ChoicePick } from './choiceRows.ts';
import { openModel } from './openModel.ts';

/** Log-likelihood of every choice given its prompt. Rows are padded to one of a few lengths, as by `score`. */
export async function choices(request: ChoicesRequest, context: JobContext): Promise<ChoicesResult> {
  const { items, task = 0 } = request;
  const opened = openModel(request.model, context);
  let opening: { close(): void } | null = null;
  try {
    const { model } = opened;
    const { contextLength, ropes } = model.config;
    checkTask(model.adapter, task);
    checkItems(items, contextLength);
    const rows = separateRows(items);
    const batch = Math.max(1, Math.min(request.batch, rows.length));
    const parts = scoredLengths(
      Int32Array.from(rows, ({ ids }) => ids.length),
      { batch, context: contextLength, isUniform: ropes.some(dependsOnLength) },
    ).map(({ tokens, rows: numbers }) => {
      const calls = inBatches(numbers, batch).map((group) => group.map((n) => rows[n]!));
      const most = calls.reduce((sum, group) => Math.max(sum, pickCount(group)), 1);
      return { name: String(tokens), layout: { batch, tokens }, picks: most, calls };
    });
    const session = await model.open(
      context.tf,
      Object.fromEntries(parts.map(({ name, layout, picks }) => [name, choicesEntry(model, layout, picks)])),
    );
    opening = session;
    opened.load(session);

    const sums = new ChoiceSums(items);
    let done = 0;
    for (const { name, layout, picks, calls } of parts)
      for (const group of calls) {
        await throwIfStopped(context);
        const feeds = layOutRows(group, layout, picks);
        const tasks = new Int32Array(feeds.ids.length).fill(task);
        const { loss, missed } = session.run(name, { ...feeds, tasks });
        const all = group.flatMap((row) => row.picks);
        const finished = sums.add(all, loss!, missed!);
        if (finished.length > 0) context.emit({ type: 'chosen', rows: finished });
        done += finished.length;
        context.emit({ type: 'progress', label: 'Scoring', done, total: items.length });
      }
    return { rows: sums.rows, peakMemoryBytes: peakMemoryBytes() };
  } finally {
    opening?.close();
    opened.close();
  }
}

/** What the choices have come to so far. */
class ChoiceSums {
  readonly rows: ChosenRow[];
  /** Tokens of each item that are still to come. */
  readonly #missing: number[];

  constructor(items: readonly ChoiceItem[]) {
    this.rows = items.map(({ choices: answers }) => ({
      logLikelihoods: answers.map(() => 0),
      greedy: answers.map(() => true),
    }));
    this.#missing = items.map(({ choices: answers }) => answers.reduce((n, { length }) => n + length, 0));
  }

  /** Adds what a call has found. @returns the items that it has completed */
  add(
    picks: readonly ChoicePick[],
    loss: ArrayLike<number>,
    missed: ArrayLike<number>,
  ): { index: number; row: ChosenRow }[] {
    const finished: { index: number; row: ChosenRow }[] = [];
    picks.forEach(({ item, choice }, i) => {
      const row = this.rows[item]!;
      row.logLikelihoods[choice]! -= loss[i]!;
      if (missed[i] !== 0) row.greedy[choice] = false;
      if (--this.#missing[item]! === 0) finished.push({ index: item, row });
    });
    return finished;
  }
}

function inBatches<T>(list: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(list.length / size) }, (_, i) =>
    list.slice(i * size, (i + 1) * size),
  );
}

/** Logits are made at the places of picks alone. */
function choicesEntry(model: ModelGraph, layout: BatchLayout, picks: number) {
  const { graph, config } = model;
  const name = String(layout.tokens);
  const ids = graph.placeholder(`ids_${name}`, [layout.batch * layout.tokens], 'i32');
  const places = graph.placeholder(`places_${name}`, [picks], 'i32');
  const labels = graph.placeholder(`labels_${name}`, [picks], 'i32');
  const hidden = wholeRowsHidden(model, ids, layout, null);
  const scores = positionScores(gather(hidden, places, 0), model.headWeight(), labels, config);
  const inputs = { ids, places, labels, ...model.rowInputs(layout.batch * layout.tokens) };
  return { inputs, outputs: scores };
}
