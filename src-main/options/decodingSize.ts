/** How much of a KV cache prompts and answers take (engine/inference/decodingGraph.ts), in slots: one a token. */
export interface DecodingSize {
  /** Rows that are decoded together. */
  batch: number;
  /** Slots that a row may have in the past, ascending: it is as long as the longest row needs. */
  pastSlots: readonly number[];
  /** Tokens that have been decoded and not yet joined the past. */
  recentSlots: number;
  /** Tokens of prompts that have been computed and whose rows have not begun. */
  promptSlots: number;
  /** Tokens that one prefill call takes. */
  prefillTokens: number;
}

/** Tokens that a prefill call takes where prompts are short, and where they are long. */
const prefillTokens = { short: 128, long: 256 };

/** Steps between two joins, at most. */
const recentSlots = 16;

/** Prompts of the longest kind that are computed together, and become rows: a join copies all rows. */
const promptsPerJoin = 4;

/** A past of another length has an entry of its own, which must be compiled: from so many slots in all rows on. */
const worthHalving = 2048;

/**
 * How much a decoder must hold to continue prompts.
 * @param lengths of the prompts, in tokens
 * @param options.batch rows at most
 * @param options.maxTokens of an answer
 * @param options.restarts lengths at which a text is computed anew, its answer included
 */
export function decodingSize(
  lengths: readonly number[],
  options: { batch: number; maxTokens: number; contextLength: number; restarts: readonly number[] },
): DecodingSize {
  const { maxTokens, contextLength, restarts } = options;
  const batch = Math.max(1, Math.min(options.batch, lengths.length));
  const longestPrompt = lengths.reduce((most, length) => Math.max(most, length), 1);
  const longest = Math.min(contextLength, longestPrompt + maxTokens);
  const longestFilled = restarts.reduce(
    (most, length) => (length <= longest ? Math.max(most, length) : most),
    longestPrompt,
  );
  const mean = lengths.reduce((sum, length) => sum + length, 0) / Math.max(1, lengths.length);
  const long = mean > 1.5 * prefillTokens.long ? prefillTokens.long : prefillTokens.short;
  const together = Math.min(batch, promptsPerJoin) * longestFilled;
  const call = Math.min(long, 8 * Math.ceil(together / 8));
  return {
    batch,
    pastSlots: pastSlots(longest, batch),
    recentSlots,
    promptSlots: 8 * Math.ceil(together / 8) + call,
    prefillTokens: call,
  };
}

/**
 * How much a decoder must hold for conversations of any length up to a context. @param columns rows that are decoded
 * together
 */
export function chatDecodingSize(columns: number, context: number): DecodingSize {
  const slots = 8 * Math.ceil(context / 8);
  const call = Math.min(prefillTokens.short, slots);
  return {
    batch: columns,
    pastSlots: pastSlots(context, columns),
    recentSlots,
    // Room for one conversation: where several are longer together, each joins before the next is computed.
    promptSlots: slots + call,
    prefillTokens: call,
  };
}

/** The longest, and two halves of it where they spare much. */
function pastSlots(longest: number, batch: number): number[] {
  const found = [8 * Math.ceil(longest / 8)];
  while (found[0]! * batch >= worthHalving && found.length < 3) found.unshift(8 * Math.ceil(found[0]! / 16));
  return found;
}
