import type { DecoderConfig, Rope } from '../../formats/families/decoderConfig.ts';
import { decodingSize, type DecodingSize } from '../../options/decodingSize.ts';
import { CacheRows } from './cacheRows.ts';
import type { ContinuedRow } from './continuedRow.ts';
import type { Decoder } from './decodingGraph.ts';

/** How much a decoder must hold to continue prompts by up to `maxTokens`. */
export function decoderSize(
  prompts: readonly (readonly number[])[],
  options: { batch: number; maxTokens: number },
  { contextLength, ropes }: Pick<DecoderConfig, 'contextLength' | 'ropes'>,
): DecodingSize {
  const restarts = ropes.flatMap(({ scaling }) =>
    scaling?.type === 'longrope' ? [scaling.originalContext + 1] : [],
  );
  return decodingSize(
    prompts.map(({ length }) => length),
    { ...options, contextLength, restarts },
  );
}

/**
 * Continues rows until all have ended. Each that ends makes room for the next one.
 * @param rows in the order in which they begin
 * @param options.temperature 0: greedy
 * @param options.pause awaited every so many steps (`pauseEvery`); what it throws ends the decoding
 * @returns seconds spent on decoding, without the prompts
 */
export async function decodeRows(
  decoder: Decoder,
  rows: readonly ContinuedRow[],
  options: {
    temperature: number;
    topP: number;
    /** Task of all rows; read only by an adapter that tells tasks apart. */
    task: number;
    ropes: readonly Rope[];
    pause(): Promise<void>;
    /** Absent: 16. */
    pauseEvery?: number;
    /** Is told rows as they end, each once. */
    onEnded?(rows: readonly ContinuedRow[]): void;
  },
): Promise<number> {
  const { temperature, topP, task, ropes, pause, pauseEvery = 16, onEnded } = options;
  const { tokensPerCall } = decoder;
  const { batch } = decoder.size;
  /** The rows that are being decoded, by their place in the cache. */
  const running: (ContinuedRow | null)[] = Array.from({ length: batch }, () => null);
  const uniform = (place: number) => running[place]!.random.next();
  const cache = new CacheRows(decoder, { task, draw: { temperature, topP, uniform } });
  let begun = 0;
  let milliseconds = 0;
  let sincePause = pauseEvery;
  for (;;) {
    const free = running.filter((row) => row === null).length;
    const isDue = free === batch || cache.isFull || free >= batch / 8;
    if (begun < rows.length && isDue) await begin();
    if (running.every((row) => row === null)) break;
    if (sincePause >= pauseEvery) {
      sincePause = 0;
      await pause();
    }
    const start = performance.now();
    sincePause += continueAll();
    milliseconds += performance.now() - start;
  }
  return milliseconds / 1000;

  /** Computes the prompts of as many rows as there is room for. */
  async function begin(): Promise<void> {
    for (;;) {
      const free = [...running.keys()].filter((place) => running[place] === null);
      const taken = rows.slice(begun, begun + free.length);
      if (taken.length === 0) break;
      await pause();
      begun += taken.length;
      fill(taken.map((row, i) => ({ place: free[i]!, row, text: row.prompt })));
    }
    cache.join();
  }

  /** Gives places in the cache to rows of these texts, and each row its next token. */
  function fill(entering: readonly { place: number; row: ContinuedRow; text: readonly number[] }[]): void {
    for (const { place, row } of entering) running[place] = row;
    const next = cache.prefill(
      entering.map(({ place, row, text }) => ({ row: place, text, adapter: row.adapter })),
    );
    entering.forEach(({ place, row }, i) => push(place, row, next[i]!));
    const ended = entering.flatMap(({ row }) => (row.ended ? [row] : []));
    if (ended.length > 0) onEnded?.(ended);
  }

  function push(place: number, row: ContinuedRow, token: number): void {
    row.push(token);
    if (!row.ended) return;
    running[place] = null;
    cache.leave(place);
  }

  /**
   * One more token of every row, or several where no row is about to end by its length.
   * @returns how many
   */
  function continueAll(): number {
    if (cache.isFull) cache.join();
    const ids = running.map((row) => (row ? row.ids.at(-1)! : null));
    const least = running.reduce((room, row) => Math.min(room, row?.room ?? Infinity), Infinity);
    const isOfSeveral = tokensPerCall > 1 && least >= tokensPerCall && cache.hasRoomForSeveral;
    const next = cache.step(ids, isOfSeveral);
    const ended: ContinuedRow[] = [];
    const switched: { place: number; row: ContinuedRow; text: number[] }[] = [];
    running.forEach((row, place) => {
      if (!row) return;
      for (const token of next(place)) if (!row.ended) push(place, row, token);
      if (row.ended) ended.push(row);
      else if (ropes.some((rope) => invalidatesCache(rope, row.length)))
        switched.push({ place, row, text: [...row.prompt, ...row.ids] });
    });
    if (ended.length > 0) onEnded?.(ended);
    if (switched.length > 0) {
      fill(switched);
      cache.join();
    }
    return isOfSeveral ? tokensPerCall : 1;
  }
}

/** Longrope changes all frequencies at one length; transformers computes the cache anew there. */
function invalidatesCache({ scaling }: Rope, length: number): boolean {
  return scaling?.type === 'longrope' && length === scaling.originalContext + 1;
}
