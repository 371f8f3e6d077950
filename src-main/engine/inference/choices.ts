import { dependsOnLength, type DecoderConfig } from '../../formats/families/decoderConfig.ts';
import {
  checkItems,
  choiceTokens,
  planChoices,
  type ChoicePick,
  type ChoiceRow,
} from '../../options/choiceRows.ts';
import type { BatchLayout } from '../../options/passLayouts.ts';
import type { Tensor } from '../graph/graph.ts';
import { gather } from '../graph/ops/layout.ts';
import { throwIfStopped, type JobContext } from '../jobContext.ts';
import { positionScores } from '../model/loss.ts';
import type { ModelGraph } from '../model/modelGraph.ts';
import { rotaryFrequencies } from '../model/rotary.ts';
import { checkTask } from '../model/taskNumbers.ts';
import { wholeRowsHidden } from '../model/wholeRows.ts';
import type { ChoiceItem, ChoicesRequest, ChoicesResult, ChosenRow } from '../protocol.ts';
import { peakMemoryBytes } from '../runtime/peakMemory.ts';
import { openModel } from './openModel.ts';

/**
 * Log-likelihood of every choice given its prompt. What begins alike is computed once. Rows are
 * padded to one of a few lengths, each of which has an entry of its own.
 */
export async function choices(request: ChoicesRequest, context: JobContext): Promise<ChoicesResult> {
  const { items, task = 0 } = request;
  const opened = openModel(request.model, context);
  let opening: { close(): void } | null = null;
  try {
    const { model } = opened;
    checkTask(model.adapter, task);
    const { contextLength, ropes } = model.config;
    // Where angles depend on the length of a text, its last token is read, too.
    checkItems(items, ropes.some(dependsOnLength) ? contextLength : contextLength + 1);
    const longestExample = longestPadded(items, contextLength);
    const isUniform = turnsByLength(model.config, longestExample);
    const parts = planChoices(items, { batch: request.batch, context: contextLength, isUniform }).map(
      ({ tokens, batch, calls, picks }) => ({
        name: String(tokens),
        layout: { tokens, batch, longestExample },
        picks,
        calls,
      }),
    );
    const session = await model.open(
      context.tf,
      Object.fromEntries(parts.map(({ name, layout, picks }) => [name, choicesEntry(model, layout, picks)])),
    );
    opening = session;
    opened.load(session);

    const sums = new ChoiceSums(items);
    let done = 0;
    for (const { name, layout, picks, calls } of parts)
      for (const planned of calls) {
        await throwIfStopped(context);
        const group = planned.map((row) => row.build());
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

/**
 * Whether some text is long enough for rope scaling to depend on its length: texts of one row would then turn each
 * other's angles.
 */
function turnsByLength({ ropes }: DecoderConfig, longestText: number): boolean {
  return ropes.some((rope) => {
    const long = rotaryFrequencies(rope, longestText);
    return dependsOnLength(rope) && rotaryFrequencies(rope, 1).some((value, i) => value !== long[i]);
  });
}

/** Tokens of the longest text of an item, as rows are padded. */
function longestPadded(items: readonly ChoiceItem[], contextLength: number): number {
  const longest = items.reduce(
    (most, { prompt, choices: answers }) =>
      answers.reduce((max, { length }) => Math.max(max, prompt.length + length), most),
    1,
  );
  return Math.min(contextLength, 8 * Math.ceil(longest / 8));
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
    this.#missing = items.map(choiceTokens);
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

/** Rows as arrays of a fixed size; `places` count through the batch. */
function layOutRows(rows: readonly ChoiceRow[], { batch, tokens }: BatchLayout, picks: number) {
  const feeds = {
    ids: new Int32Array(batch * tokens),
    depths: new Float32Array(batch * tokens),
    // Padding sees itself alone.
    last: Float32Array.from({ length: batch * tokens }, (_, at) => at % tokens),
    places: new Int32Array(picks),
    labels: new Int32Array(picks).fill(-1),
  };
  let at = 0;
  rows.forEach((row, r) => {
    feeds.ids.set(row.ids, r * tokens);
    feeds.depths.set(row.depths, r * tokens);
    feeds.last.set(row.last, r * tokens);
    for (const pick of row.picks) {
      feeds.places[at] = r * tokens + pick.at;
      feeds.labels[at++] = pick.label;
    }
  });
  return feeds;
}

/** Logits are made at the places of picks alone. */
function choicesEntry(model: ModelGraph, layout: BatchLayout, picks: number) {
  const { graph, config } = model;
  const name = String(layout.tokens);
  const ids = graph.placeholder(`ids_${name}`, [layout.batch * layout.tokens], 'i32');
  const places = graph.placeholder(`places_${name}`, [picks], 'i32');
  const labels = graph.placeholder(`labels_${name}`, [picks], 'i32');
  const [depths, last] = ['depths', 'last'].map((input) =>
    graph.placeholder(`${input}_${name}`, [layout.batch, layout.tokens], 'f32'),
  ) as [Tensor, Tensor];
  const hidden = wholeRowsHidden(model, ids, layout, null, { branches: { depths, last } });
  const scores = positionScores(gather(hidden, places, 0), model.headWeight(), labels, config);
  const inputs = { ids, depths, last, places, labels, ...model.rowInputs(layout.batch * layout.tokens) };
  return { inputs, outputs: scores };
}
