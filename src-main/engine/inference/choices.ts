import { dependsOnLength, type DecoderConfig } from '../../formats/families/decoderConfig.ts';
import { scoredLengths } from '../../options/scoredLengths.ts';
import type { Tensor } from '../graph/graph.ts';
import { gather } from '../graph/ops/layout.ts';
import { throwIfStopped, type JobContext } from '../jobContext.ts';
import { positionScores } from '../model/loss.ts';
import type { ModelGraph } from '../model/modelGraph.ts';
import { rotaryFrequencies } from '../model/rotary.ts';
import { checkTask } from '../model/taskNumbers.ts';
import { wholeRowsHidden, type BatchLayout } from '../model/wholeRows.ts';
import type { ChoiceItem, ChoicesRequest, ChoicesResult, ChosenRow } from '../protocol.ts';
import { peakMemoryBytes } from '../runtime/peakMemory.ts';
import {
  checkItems,
  choiceTokens,
  layOutRows,
  separateRows,
  sharedRows,
  sharedTokens,
  type ChoicePick,
  type PlannedRow,
} from './choiceRows.ts';
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
    const { rows, parts: lengths } = planRows(items, request.batch, model.config);
    const parts = lengths.map(({ rows: numbers, ...layout }) => {
      const calls = inBatches(numbers, layout.batch).map((group) => group.map((n) => rows[n]!));
      const picksOf = (group: readonly PlannedRow[]) => group.reduce((sum, row) => sum + row.picks, 0);
      const picks = calls.reduce((most, group) => Math.max(most, picksOf(group)), 1);
      return { name: String(layout.tokens), layout, picks, calls };
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
 * How items become rows, and rows batches. Where rope scaling depends on the length of a text, and some text is long
 * enough for that to matter, texts of one row would turn each other's angles: each then stands alone, and all are
 * padded to one length.
 */
function planRows(items: readonly ChoiceItem[], batch: number, { contextLength, ropes }: DecoderConfig) {
  const textLengths = items.map(({ prompt, choices: answers }) =>
    answers.reduce((most, { length }) => Math.max(most, prompt.length + length), 0),
  );
  const longestText = Math.min(contextLength, paddedTokens(textLengths));
  const isUniform = ropes.some((rope) => {
    const long = rotaryFrequencies(rope, longestText);
    return dependsOnLength(rope) && rotaryFrequencies(rope, 1).some((value, i) => value !== long[i]);
  });
  const longest = paddedTokens(items.map(sharedTokens));
  const together = Math.max(1, Math.min(batch, items.length));
  const capacity = Math.min(together * longest, Math.max(leastCapacity, 3 * longest));
  const rows = isUniform ? separateRows(items) : sharedRows(items, capacity);
  const parts = scoredLengths(
    Int32Array.from(rows, ({ tokens }) => tokens),
    { batch: together, context: isUniform ? contextLength : Infinity, isUniform },
  );
  // A call has no more tokens than one of as many single items: a row of several counts as several.
  const fitting = (tokens: number) => (isUniform ? together : Math.floor((together * longest) / tokens));
  return {
    rows,
    parts: parts.map((part) => ({
      ...part,
      batch: Math.max(1, Math.min(together, part.rows.length, fitting(part.tokens))),
      longestExample: longestText,
    })),
  };
}

/** A row of several items may have so many tokens: longer ones spare little, and attention costs more. */
const leastCapacity = 1024;

function paddedTokens(lengths: readonly number[]): number {
  return 8 * Math.ceil(lengths.reduce((most, length) => Math.max(most, length), 1) / 8);
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
  const [depths, last] = ['depths', 'last'].map((input) =>
    graph.placeholder(`${input}_${name}`, [layout.batch, layout.tokens], 'f32'),
  ) as [Tensor, Tensor];
  const hidden = wholeRowsHidden(model, ids, layout, null, { branches: { depths, last } });
  const scores = positionScores(gather(hidden, places, 0), model.headWeight(), labels, config);
  const inputs = { ids, depths, last, places, labels, ...model.rowInputs(layout.batch * layout.tokens) };
  return { inputs, outputs: scores };
}
