import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { StudioError } from '../../contract/errors.ts';
import type { ChatMessage, EngineEvent, EngineInbound, EngineOutbound } from '../messages.ts';
import type { EngineRequest, EngineResults } from '../protocol.ts';
import { compiledFolder, forgetCompiled } from '../runtime/compiledFunctions.ts';
import { outOfMemoryRemedy, saysOutOfMemory } from '../runtime/outOfMemory.ts';
import { readLines } from './readLines.ts';

export interface EngineRunOptions {
  /** What it throws ends the job: its process is killed, and the result rejects with it. */
  onEvent?: (event: EngineEvent) => void;
  /** Lines that the process prints (TensorFlow's warnings, stack traces). */
  onLog?: (line: string) => void;
  /** Aborting kills the process. */
  signal?: AbortSignal;
}

/** A card that jobs compute on. */
export interface EngineCard {
  /** Its number in the order of the bus, as nvidia-smi and CUDA with PCI_BUS_ID count. */
  id: string;
  name: string;
  /** Compute capability: 8.9. */
  capability: string;
  memoryBytes: number;
  /** Where XLA finds ptxas and libdevice; null: it looks for them itself, an old system-wide toolkit first. */
  cudaFolder: string | null;
}

export interface EngineJob<K extends EngineRequest['kind']> {
  /** Ends with the result, or a StudioError: the job's own, `engine_died`, `out_of_memory` or `cancelled`. */
  result: Promise<EngineResults[K]>;
  /** Of its process; undefined where it could not be started. */
  pid: number | undefined;
  /** The card that it has; null: none was known, it computes on what TensorFlow finds. */
  card: EngineCard | null;
  /** Asks a training job to stop after the current step; others are abandoned. */
  stop(options: { save: boolean }): void;
  /** Tells a chat what comes next; to others it says nothing. */
  tell(message: ChatMessage): void;
}

/**
 * Starts engine processes. Each job gets one of its own: it may crash or be killed, and nothing else is lost. What a
 * job held is given back whole with its process; only one that computed nothing is kept a while for the next job.
 */
export interface EngineHost {
  start<R extends EngineRequest>(request: R, options?: EngineRunOptions): EngineJob<R['kind']>;
  /**
   * The card that a job would get now: that with the fewest trainings, of those that with the fewest jobs, of those the
   * first. Null: none is known.
   */
  nextCard(): string | null;
  /** What runs on a card. */
  jobsOn(card: string): EngineRequest['kind'][];
  /** Kills all running jobs: they end as cancelled. */
  close(): void;
}

/** Lines of the stack that a native crash prints: they would push out what led to it. */
const nativeFrame = /^\s*\d+: (0x)?[0-9a-f]+|^-----/;

/** What a process imports before its entry. */
const ownImports = new URL('../../setup/ownImports.mjs', import.meta.url).href;
/** How many of the last lines of a dead process go into its error. */
const keptLines = 8;

/** So long a process that computed nothing waits for a job: whoever asks what the engine is most often begins one. */
const idleMs = 10_000;

/** It is to see TensorFlow being loaded, with other messages than jobs have. */
const isVerbose = (request: EngineRequest) => request.kind === 'probe' && request.verbose === true;
/** Its process has loaded TensorFlow as jobs do, and holds nothing. */
const computesNothing = (request: EngineRequest) => request.kind === 'probe' && !isVerbose(request);
/** CUDA's libraries read it when they are loaded: a process multiplies one way or the other. */
const asksForTf32 = (request: EngineRequest) =>
  request.kind === 'train' && request.config.precision === 'f32' && request.config.tf32;

/**
 * Products of f32 numbers are those of f32 numbers: TF32 rounds them to 10 bits, and is used by runs that ask for it,
 * or by all where somebody sets NVIDIA_TF32_OVERRIDE=1.
 */
const exactProducts = { NVIDIA_TF32_OVERRIDE: '0' };

/**
 * One heap for all threads: with glibc's several, freed tensors of one thread are not reused by the next (4 % more
 * memory). TensorFlow may still find a card of which nvidia-smi does not tell.
 */
const environmentOnProcessor = { ...exactProducts, MALLOC_ARENA_MAX: '1' };

/**
 * Tensors are on the card, and the host, which gives out each launch, gets heaps as its threads like them. It knows
 * its card by `ID_LORA_STUDIO_CARD`.
 */
const environmentOnCard = ({ name, capability, cudaFolder }: EngineCard) => ({
  ID_LORA_STUDIO_CARD: `${name}, ${capability}`,
  ...exactProducts,
  ...(cudaFolder && { XLA_FLAGS: `--xla_gpu_cuda_data_dir=${cudaFolder}` }),
});

/** What happens to a process, for the job that it has. */
interface JobListener {
  receive(message: EngineOutbound): void;
  line(text: string): void;
  failed(error: Error): void;
  closed(code: number | null, signal: NodeJS.Signals | null): void;
}

interface EngineProcess {
  child: ChildProcess;
  /** It listens to requests. */
  isReady: boolean;
  /** Null: it is idle. */
  job: JobListener | null;
  /** What it was asked for. */
  kind: EngineRequest['kind'] | null;
  /** The one card that it sees; null: whatever there is. */
  card: EngineCard | null;
  /** Its f32 products are those of TF32, whatever else is set. */
  isTf32: boolean;
  /** Ends it where it stays idle. */
  timer?: NodeJS.Timeout;
}

/** It runs and nobody ended it; a process that was just killed stays connected until its end is seen. */
function isAlive({ connected, killed, exitCode, signalCode }: ChildProcess): boolean {
  return connected && !killed && exitCode === null && signalCode === null;
}

/**
 * @param options.entry module that the process runs; tests give their own
 * @param options.keeps after which requests that went well a process is kept for the next job; absent: after those that
 * computed nothing. Tests keep it after all: TensorFlow takes seconds to load
 */
export function createEngineHost(
  options: {
    nodePath?: string;
    entry?: string;
    env?: NodeJS.ProcessEnv;
    keeps?: (request: EngineRequest) => boolean;
    /** Among which each process gets one; absent or none known yet: TensorFlow takes what it finds. */
    cards?: () => readonly EngineCard[];
  } = {},
): EngineHost {
  const entry = options.entry ?? fileURLToPath(new URL('./child.ts', import.meta.url));
  const keeps = options.keeps ?? computesNothing;
  const closing = new AbortController();
  const idle = new Set<EngineProcess>();
  const all = new Set<EngineProcess>();
  const jobsOn = (id: string) =>
    [...all].flatMap(({ card, job, kind }) => (card?.id === id && job && kind ? [kind] : []));

  function nextCard(): EngineCard | null {
    const cards = options.cards?.() ?? [];
    const busy = new Map(cards.map(({ id }) => [id, jobsOn(id)]));
    const trainings = ({ id }: EngineCard) => busy.get(id)!.filter((kind) => kind === 'train').length;
    const jobs = ({ id }: EngineCard) => busy.get(id)!.length;
    return cards.toSorted((a, b) => trainings(a) - trainings(b) || jobs(a) - jobs(b))[0] ?? null;
  }

  function open(card: EngineCard | null, isTf32 = false): EngineProcess {
    const child = fork(entry, [], {
      execArgv: [...process.execArgv, '--import', ownImports],
      execPath: options.nodePath ?? process.execPath,
      serialization: 'advanced',
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      env: {
        ...(card ? environmentOnCard(card) : environmentOnProcessor),
        ...process.env,
        ...(card && { CUDA_VISIBLE_DEVICES: card.id, CUDA_DEVICE_ORDER: 'PCI_BUS_ID' }),
        ...(isTf32 && { NVIDIA_TF32_OVERRIDE: '1' }),
        ...options.env,
      },
    });
    const opened: EngineProcess = { child, isReady: false, job: null, kind: null, card, isTf32 };
    all.add(opened);
    child.on('message', (message: EngineOutbound) => opened.job?.receive(message));
    for (const stream of [child.stdout, child.stderr]) readLines(stream!, (text) => opened.job?.line(text));
    child.on('error', (error) => opened.job?.failed(error));
    // Not 'exit': the last lines of a dying process arrive after it.
    child.once('close', (code, signal) => {
      idle.delete(opened);
      all.delete(opened);
      opened.job?.closed(code, signal);
    });
    return opened;
  }

  function take(isTf32: boolean): EngineProcess {
    const card = nextCard();
    for (const waiting of idle) {
      const isOther = waiting.card?.id !== card?.id || waiting.isTf32 !== isTf32;
      if (isOther && isAlive(waiting.child)) continue;
      idle.delete(waiting);
      clearTimeout(waiting.timer);
      if (isAlive(waiting.child)) return waiting;
    }
    return open(card, isTf32);
  }

  function keep(engine: EngineProcess): void {
    idle.add(engine);
    engine.timer = setTimeout(() => {
      if (idle.delete(engine) && engine.child.connected) engine.child.disconnect();
    }, idleMs).unref();
  }

  return {
    start(request, { signal, ...listeners } = {}) {
      const engine = isVerbose(request) ? open(nextCard()) : take(asksForTf32(request));
      engine.kind = request.kind;
      const { child } = engine;
      const signals = [closing.signal, ...(signal ? [signal] : [])];
      let isOver = false;
      const send = (message: EngineInbound) => {
        // A process that dies meanwhile says so itself: without a callback the error would be thrown.
        if (child.connected && !isOver) child.send(message, () => undefined);
      };
      // What arrives before the request is held back and sent after it.
      const held: EngineInbound[] = [];
      let hasRequest = false;
      const tell = (message: EngineInbound) => {
        if (hasRequest) send(message);
        else held.push(message);
      };
      const begin = () => {
        engine.isReady = true;
        send({ type: 'request', request });
        hasRequest = true;
        for (const message of held.splice(0)) send(message);
      };
      /** The job has its answer, and the process nothing left to do. */
      const release = (isWell: boolean) => {
        isOver = true;
        engine.job = null;
        if (!child.connected) return;
        const mayStay =
          isWell && !isVerbose(request) && keeps(request) && !signals.some(({ aborted }) => aborted);
        if (mayStay && isAlive(child)) keep(engine);
        else child.disconnect();
      };
      const result = follow<(typeof request)['kind']>(engine, { begin, release }, listeners, signals);
      return {
        result,
        pid: child.pid,
        card: engine.card,
        stop: ({ save }) => tell({ type: 'stop', save }),
        tell,
      };
    },
    nextCard: () => nextCard()?.id ?? null,
    jobsOn,
    close() {
      closing.abort();
      for (const { child } of idle) child.kill('SIGKILL');
      idle.clear();
    },
  };
}

/**
 * What TensorFlow says at every start, whatever its log level: that it logs, and that its CPU kernels may round
 * otherwise than others; and of every function that it finds compiled that it is no text, and for what scheduling it
 * was tuned.
 */
const banner = new RegExp(
  [
    String.raw`^WARNING: All log messages before absl::InitializeLog\(\)`,
    String.raw`port\.cc:\d+\] oneDNN custom operations are on\.`,
    String.raw`text_format\.cc:\d+\] Error parsing text-format tensorflow\.XlaSerializedCacheEntry`,
    String.raw`cpu_aot_loader\.cc:\d+\] Loading XLA:CPU AOT result\. Target machine feature \+prefer-`,
  ].join('|'),
);

/**
 * @param own.begin is called once the process listens
 * @param own.release is called when the job has its answer, or its process is gone
 * @param signals the job is cancelled by the first that is aborted
 */
function follow<K extends EngineRequest['kind']>(
  engine: EngineProcess,
  own: { begin(): void; release(isWell: boolean): void },
  { onEvent, onLog }: Omit<EngineRunOptions, 'signal'>,
  signals: readonly AbortSignal[],
): Promise<EngineResults[K]> {
  const { child } = engine;
  return new Promise((resolve, reject) => {
    const kill = () => child.kill('SIGKILL');
    const isAborted = () => signals.some(({ aborted }) => aborted);
    for (const signal of signals) signal.addEventListener('abort', kill, { once: true });
    const settle = (action: () => void, isWell = false) => {
      for (const signal of signals) signal.removeEventListener('abort', kill);
      action();
      own.release(isWell);
    };
    /** What a listener threw (a full disk, say): the job ends with it, once its process is gone. */
    let thrown: Error | null = null;
    const guarded = (action: () => void) => {
      if (thrown) return;
      try {
        action();
      } catch (error) {
        thrown = error instanceof Error ? error : new Error(String(error));
        kill();
      }
    };
    const lastLines: string[] = [];
    function receive(message: EngineOutbound): void {
      switch (message.type) {
        case 'ready':
          own.begin();
          break;
        case 'event':
          onEvent?.(message.event);
          break;
        case 'result':
          settle(() => resolve(message.result as EngineResults[K]), true);
          break;
        case 'error':
          settle(() => reject(StudioError.fromPlain(message.error)));
          break;
        default:
          throw new Error(`unknown engine message ${JSON.stringify(message satisfies never)}`);
      }
    }
    engine.job = {
      receive: (message) => guarded(() => receive(message)),
      line(text) {
        if (text.trim() === '' || banner.test(text)) return;
        if (!nativeFrame.test(text)) lastLines.push(text);
        if (lastLines.length > keptLines) lastLines.shift();
        guarded(() => onLog?.(text));
      },
      // A process that could not be started has no 'close'; one that could has, whatever else goes wrong.
      failed(error) {
        if (child.pid === undefined) settle(() => reject(error));
      },
      closed: (code, exitSignal) =>
        settle(() => reject(thrown ?? deathOf(code, exitSignal, isAborted(), lastLines))),
    };
    if (isAborted()) kill();
    else if (engine.isReady) own.begin();
  });
}

function deathOf(
  code: number | null,
  signal: NodeJS.Signals | null,
  aborted: boolean,
  lastLines: readonly string[],
): StudioError {
  if (aborted) return new StudioError('cancelled', 'The job was cancelled.', 'Start it again.');
  const said = lastLines.length > 0 ? ` It last said: ${lastLines.join(' | ').slice(-600)}` : '';
  if (signal === 'SIGKILL' || code === 137 || saysOutOfMemory(said))
    return new StudioError(
      'out_of_memory',
      `The engine process was killed, most likely for want of memory.${said}`,
      outOfMemoryRemedy,
    );
  // What it read last may have been what an earlier one compiled.
  const folder = signal === null ? null : compiledFolder();
  if (folder) forgetCompiled(folder);
  return new StudioError(
    'engine_died',
    `The engine process ended unexpectedly (${signal ?? `code ${code}`}).${said}`,
    'Resume from the last checkpoint; if it happens again, report it with the log.',
  );
}
