import { spawn, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { PlainError } from '../contract/errors.ts';
import { beatMs, createHeartbeat, silenceError, silentAfterBeats } from '../channel/heartbeat.ts';
import type { ProcedureInput, ProcedureName, ProcedureOutput } from '../contract/procedures.ts';
import type { CoreProcessState } from '../contract/shellBridge.ts';
import type { ClientMessage, CoreMessage, Reply } from '../contract/transport.ts';
import { readLines } from '../engine/process/readLines.ts';

/** Lines of the core's error output that are kept to explain its death. */
const keptLines = 40;
const silent = silenceError('Wait until it answers, or restart it.');
/** A core that was asked to end may finish a write for this long. */
const endWithinMs = 10_000;

export interface CoreProcess {
  state(): CoreProcessState;
  /** Passes a page's message on; one that comes while there is no core is dropped, its page hears of the state. */
  send(message: ClientMessage): void;
  /** A call of the shell itself. @throws PlainError as the core says, or that there is none */
  call<N extends ProcedureName>(name: N, input: ProcedureInput<N>): Promise<ProcedureOutput<N>>;
  /** Starts the core again after it failed; kills it first where it does not answer, and does nothing while it does. */
  restart(): void;
  /** Lets the core close its database and end. */
  end(): Promise<void>;
}

type FromCore = CoreMessage | { kind: 'ready' } | { kind: 'failed'; error: PlainError };

/**
 * Runs the core as a child: Node 24 on src-main/core/main.ts, messages as JSON over its channel (the Node inside
 * Electron may be of any version).
 */
export function startCoreProcess(options: {
  /** Folder with src-main and node_modules. */
  folder: string;
  /** Program of Node 24. */
  node: string;
  env: NodeJS.ProcessEnv;
  onMessage(message: CoreMessage): void;
  onState(state: CoreProcessState): void;
}): CoreProcess {
  let child: ChildProcess | null = null;
  let state: CoreProcessState = { kind: 'starting' };
  let ending = false;
  let restarting = false;
  let heartbeat = createHeartbeat();
  // The shell's calls count down: pages count up.
  let lastId = 0;
  const waiting = new Map<number, { resolve(value: unknown): void; reject(error: PlainError): void }>();

  function setState(next: CoreProcessState): void {
    state = next;
    if (next.kind === 'failed') {
      for (const { reject } of waiting.values()) reject(next.error);
      waiting.clear();
    }
    options.onState(next);
  }

  function start(): void {
    restarting = false;
    heartbeat = createHeartbeat();
    setState({ kind: 'starting' });
    const sources = join(options.folder, 'src-main');
    const { href: ownImports } = pathToFileURL(join(sources, 'setup', 'ownImports.mjs'));
    const started = spawn(options.node, ['--import', ownImports, join(sources, 'core', 'main.ts')], {
      cwd: options.folder,
      env: options.env,
      stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
      serialization: 'json',
    });
    child = started;
    const lines: string[] = [];
    readLines(started.stderr!, (line) => {
      console.error(line);
      if (line !== '') lines.push(line);
      lines.splice(0, lines.length - keptLines);
    });
    started.on('message', (message) => receive(message as FromCore));
    started.on('error', (error) => lines.push(error.message));
    started.on('close', (code, signal) => {
      child = null;
      if (ending) return;
      if (state.kind !== 'failed') setState({ kind: 'failed', error: deathError(code, signal, lines) });
      if (restarting) start();
    });
  }

  function receive(message: FromCore): void {
    heartbeat.heard();
    if (state.kind === 'silent') setState({ kind: 'ready' });
    switch (message.kind) {
      case 'ready':
        setState({ kind: 'ready' });
        break;
      case 'failed':
        setState(message);
        break;
      case 'pong':
        break;
      case 'reply':
        if (message.id < 0) answer(message.id, message.reply);
        else options.onMessage(message);
        break;
      default:
        options.onMessage(message);
    }
  }

  function answer(id: number, reply: Reply): void {
    const call = waiting.get(id);
    waiting.delete(id);
    if (reply.ok) call?.resolve(reply.value);
    else call?.reject(reply.error);
  }

  const send = (message: ClientMessage) => {
    // Without a callback a core that has just died would be an error thrown here: its 'close' says so.
    if (child?.connected) child.send(message, () => undefined);
  };
  /** Asks a core that is ready whether it still answers. */
  const beat = setInterval(() => {
    if (state.kind !== 'ready' && state.kind !== 'silent') return;
    const { asks, owed } = heartbeat.beat(Date.now());
    if (asks) send({ kind: 'ping' });
    if (owed >= silentAfterBeats && state.kind === 'ready') setState({ kind: 'silent', error: silent });
  }, beatMs);
  start();
  return {
    state: () => state,
    send,
    call<N extends ProcedureName>(name: N, input: ProcedureInput<N>) {
      return new Promise<ProcedureOutput<N>>((resolve, reject) => {
        if (state.kind === 'failed') {
          reject(state.error);
          return;
        }
        const id = --lastId;
        waiting.set(id, { resolve: (value) => resolve(value as ProcedureOutput<N>), reject });
        send({ kind: 'call', id, name, input });
      });
    },
    restart() {
      if (child === null) start();
      else if (state.kind === 'silent') {
        restarting = true;
        child.kill('SIGKILL');
      }
    },
    async end() {
      ending = true;
      clearInterval(beat);
      const running = child;
      if (running === null) return;
      // Not `close`: the Node of an old Electron never says it of a child that was disconnected.
      const ended = new Promise((resolve) => running.once('exit', resolve));
      const timer = setTimeout(() => running.kill('SIGKILL'), endWithinMs);
      running.disconnect();
      await ended;
      clearTimeout(timer);
    },
  };
}

function deathError(code: number | null, signal: string | null, lines: readonly string[]): PlainError {
  const how = signal === null ? `with code ${code}` : `by signal ${signal}`;
  const why =
    [...lines].reverse().find((line) => /error|cannot|failed/i.test(line)) ?? lines[lines.length - 1];
  return {
    code: 'core_died',
    message: `The studio’s core ended ${how}${why ? `: ${why.trim().slice(0, 300)}` : '.'}`,
    remedy: 'Restart it. Everything up to the last checkpoint of a run is saved.',
  };
}
