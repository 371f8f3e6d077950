/**
 * Memory that a thread shares with its watcher: how many texts it has begun, and the length of the one under way. A
 * thread that is caught in a pattern answers no message; what it wrote here before can still be read.
 */
export type TextClock = Int32Array<SharedArrayBuffer>;

/** The text at which a thread stands still; characters null: at loading a tokenizer. */
export interface StalledText {
  characters: number | null;
  limitMs: number;
}

/** Slow tokenizers cut a few hundred characters a millisecond: a text as long as a book gets its time. */
const charactersPerMs = 100;

/**
 * Loading takes the thread's own start and a file of megabytes with it, on a machine that may be busy: so many times
 * as long.
 */
const patienceAtLoading = 6;

const loading = -1;

export function createTextClock(): TextClock {
  return new Int32Array(new SharedArrayBuffer(8));
}

/** Tells that a text is begun, or the loading of a tokenizer (null). */
export function beginText(clock: TextClock, characters: number | null): void {
  Atomics.store(clock, 1, characters ?? loading);
  Atomics.add(clock, 0, 1);
}

/**
 * Watches while it is started; a text that takes longer than the patience and its length allow is told once, and the
 * watch has ended.
 */
export function watchTextClock(
  clock: TextClock,
  { patienceMs, onStall }: { patienceMs: number; onStall(stalled: StalledText): void },
): { start(): void; stop(): void } {
  let timer: NodeJS.Timeout | null = null;
  let [seen, since] = [0, 0];

  const stop = () => {
    if (timer) clearInterval(timer);
    timer = null;
  };
  const look = () => {
    const begun = Atomics.load(clock, 0);
    if (begun !== seen) {
      [seen, since] = [begun, performance.now()];
      return;
    }
    const length = Atomics.load(clock, 1);
    const characters = length === loading ? null : length;
    const limitMs =
      characters === null ? patienceAtLoading * patienceMs : patienceMs + characters / charactersPerMs;
    if (performance.now() - since < limitMs) return;
    stop();
    onStall({ characters, limitMs });
  };
  return {
    start() {
      if (timer) return;
      // Until the thread has begun, what it did last is no measure.
      Atomics.store(clock, 1, loading);
      [seen, since] = [Atomics.load(clock, 0), performance.now()];
      timer = setInterval(look, Math.min(250, patienceMs / 4));
    },
    stop,
  };
}
