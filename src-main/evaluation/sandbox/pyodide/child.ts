/**
 * Runs one program in Pyodide and says how it ended: what runs in a process that Node's permission model keeps from
 * files (but Pyodide's own), processes, threads and addons. What that model leaves open is closed here before the
 * program runs: the network, signals to other processes, and code made from text. Imports nothing of the studio: it
 * could not be read.
 *
 * The last arguments: Pyodide's folder, and `prepare` or `run`. To prepare writes the memory of a Python that has just
 * started to stdout, which saves each program two seconds, and JSON to stderr: versions, and this module without its
 * types, which saves another tenth. To run reads two sizes of ten digits from stdin, then a request (JSON) and a memory
 * of so many bytes.
 */
import fs from 'node:fs';
import { registerHooks, stripTypeScriptTypes, syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

/** What is used here of Pyodide (its pyodide.d.ts). */
interface PyodideAPI {
  version: string;
  FS: {
    filesystems: {
      MEMFS: {
        ops_table: { file: { stream: { write: WriteFile } } };
        resizeFileStorage(node: FileNode, size: number): void;
      };
    };
    ErrnoError: new (code: number) => Error;
  };
  pyimport(name: string): unknown;
  runPython(code: string): unknown;
  setStdout(options: { write: (bytes: Uint8Array) => number }): void;
  setStderr(options: { write: (bytes: Uint8Array) => number }): void;
  /** Only of one that was loaded with `_makeSnapshot`. */
  makeMemorySnapshot(): Uint8Array;
}

/** A file in memory, in Emscripten's words. */
interface FileNode {
  usedBytes: number;
}
type WriteFile = (
  file: { node: FileNode },
  ...rest: [buffer: Uint8Array, offset: number, length: number, position: number, canOwn: boolean]
) => number;

interface Request {
  token: string;
  source: string;
  tests: string;
  outputBytes: number;
  temporaryBytes: number;
}

interface Failure {
  outcome: 'failed' | 'out_of_memory' | 'killed';
  error: string;
}

const keptLines = 12;
const keptCharacters = 2000;

const [folder, mode] = process.argv.slice(-2);
const { writeSync } = fs;
const leave = (process as unknown as { reallyExit: (code: number) => never }).reallyExit.bind(process);

/**
 * Modules by which a program could reach out, or have code run that is not closed in, as far as an object of one may be
 * held by Emscripten; afterwards no module can be had at all.
 */
const forbiddenModules =
  'net tls http https dgram dns fs fs/promises vm module child_process worker_threads'.split(' ');

/** What Python needs of the global object; the names of the language itself stay. */
const keptGlobals =
  /^([A-Z]\w*|undefined|NaN|globalThis|is(NaN|Finite)|parse(Int|Float)|(de|en)codeURI(Component)?|(un)?escape|performance|(set|clear)(Timeout|Immediate|Interval)|queueMicrotask)$/;
const removedGlobals =
  /^(WebSocket|EventSource|Request|Response|Headers|FormData|XMLHttpRequest|BroadcastChannel|Message(Channel|Port|Event)|Worker|Navigator|Storage|WebAssembly|Buffer|Blob|File)$/;

/** Calls again until the other end of a pipe is ready. */
function patiently<T>(action: () => T): T {
  for (;;)
    try {
      return action();
    } catch (error) {
      if ((error as { code?: string }).code !== 'EAGAIN') throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    }
}

function writeAll(descriptor: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;)
    at += patiently(() => writeSync(descriptor, bytes, at, Math.min(2 ** 20, bytes.length - at)));
}

function deny(): never {
  throw new Error('This is not possible in the sandbox.');
}

/** Puts `deny` in the place of everything that can be called in an object, and in the prototypes of its classes. */
function disarm(object: object, seen = new Set<object>()): void {
  if (seen.has(object)) return;
  seen.add(object);
  for (const name of Reflect.ownKeys(object)) {
    const property = Object.getOwnPropertyDescriptor(object, name)!;
    const value: unknown = property.value;
    if (name === 'constructor' || name === 'prototype') continue;
    if (typeof value === 'function' && typeof value.prototype === 'object' && value.prototype !== null)
      disarm(value.prototype as object, seen);
    if (!property.configurable && !property.writable) continue;
    if (typeof value === 'function' || property.get || property.set)
      try {
        Object.defineProperty(object, name, { value: deny, configurable: false, writable: false });
      } catch {
        // One that cannot be replaced stays; the modules behind it are disarmed themselves.
      }
  }
}

/** A handle of the system (a socket) can be had without a module, from an object that has one. */
async function disarmHandles(): Promise<object[]> {
  const [net, dgram] = await Promise.all([import('node:net'), import('node:dgram')]);
  const handles: object[] = [];
  for (const options of [{ port: 9, host: '127.0.0.1' }, { path: '/nowhere' }]) {
    // The handle is there at once; it would connect in the next turn, and is gone by then.
    const socket = new net.Socket();
    socket.on('error', () => undefined);
    socket.connect(options);
    const handle = (socket as unknown as { _handle: object | null })._handle;
    if (handle) handles.push(Object.getPrototypeOf(handle) as object);
    socket.destroy();
  }
  const datagrams = dgram.createSocket('udp4');
  for (const symbol of Object.getOwnPropertySymbols(datagrams)) {
    const state = (datagrams as unknown as Record<symbol, { handle?: object } | undefined>)[symbol];
    if (state?.handle) handles.push(Object.getPrototypeOf(state.handle) as object);
  }
  datagrams.close();
  return handles;
}

/** After this no code of this process reaches anything outside it but what was kept above: writeSync and leave. */
async function closeRealm(): Promise<void> {
  // As require gives them: an import reads all exports, and those of http load all of fetch.
  const modules = forbiddenModules.map((name): object => process.getBuiltinModule(`node:${name}`)!);
  const handles = await disarmHandles();
  // A turn later the sockets are closed.
  await new Promise((resolve) => setTimeout(resolve, 0));
  registerHooks({ resolve: deny, load: deny });
  const seen = new Set<object>();
  for (const module of modules) disarm(module, seen);
  for (const handle of handles) disarm(handle, seen);
  syncBuiltinESMExports();
  const { process: own } = globalThis;
  for (const name of Reflect.ownKeys(own))
    // Node itself schedules and reports its errors by these.
    if (
      !/^(nextTick|emit|emitWarning|_tickCallback|_fatalException|_exiting|exitCode|domain|version|versions|config|features|release)$/.test(
        String(name),
      )
    )
      try {
        Object.defineProperty(own, name, { value: deny, configurable: false, writable: false });
      } catch {
        Reflect.deleteProperty(own, name);
      }
  for (const name of Object.getOwnPropertyNames(globalThis))
    if (!keptGlobals.test(name) || removedGlobals.test(name)) Reflect.deleteProperty(globalThis, name);
  // Pyodide tells it of its end.
  const silent = () => undefined;
  Object.assign(globalThis, {
    console: { log: silent, warn: silent, error: silent, info: silent, debug: silent },
  });
}

async function load(options: object): Promise<PyodideAPI> {
  // Emscripten asks Node's inner parts for constants, from which the permission model keeps it.
  Object.assign(process, { binding: () => ({ fs: fs.constants }) });
  // It tells Python of its own path.
  process.argv.splice(0, Infinity, 'python', 'python');
  const { loadPyodide } = (await import(pathToFileURL(join(folder!, 'pyodide.mjs')).href)) as {
    loadPyodide: (options: object) => Promise<PyodideAPI>;
  };
  return loadPyodide({ indexURL: folder, stdin: () => null, ...options });
}

async function prepare(): Promise<void> {
  const pyodide = await load({ _makeSnapshot: true });
  const bytes = pyodide.makeMemorySnapshot();
  writeAll(1, bytes);
  const script = stripTypeScriptTypes(fs.readFileSync(fileURLToPath(import.meta.url), 'utf8'));
  const python: unknown = pyodide.runPython('import sys; sys.version.split()[0]');
  writeAll(2, Buffer.from(JSON.stringify({ version: pyodide.version, python, script })));
  leave(0);
}

/** Forgets the modules by which Python reaches into JavaScript, and makes the sources known to tracebacks. */
const prelude = `def _prepare(source, tests):
    import linecache, sys
    for name in list(sys.modules):
        if name.split(".")[0] in ("js", "pyodide", "pyodide_js", "_pyodide", "_pyodide_core"):
            del sys.modules[name]
    for finder in sys.meta_path:
        getattr(finder, "jsproxies", {}).clear()
    sys.meta_path[:] = [finder for finder in sys.meta_path if not type(finder).__module__.startswith(("_pyodide", "pyodide"))]
    sys.modules["_pyodide_core"] = None
    sys.argv = ["program"]
    for name, text in (("<program>", source), ("<tests>", tests)):
        linecache.cache[name] = (len(text), None, text.splitlines(True), name)
_prepare`;

/** Python's functions that JavaScript calls; the program itself sees no frame of ours above its own. */
type Call = (...args: unknown[]) => unknown;

/** Null where the program passed. */
function run(pyodide: PyodideAPI, { source, tests }: Request): Failure | null {
  const builtins = pyodide.pyimport('builtins') as Record<'compile' | 'exec' | 'dict', Call>;
  const { settrace, setprofile } = pyodide.pyimport('sys') as Record<'settrace' | 'setprofile', Call>;
  const { compile, exec, dict } = builtins;
  try {
    (pyodide.runPython(prelude) as Call)(source, tests);
    // Both are compiled before either runs, and the tests have names of their own (see supervisor.py).
    const codes = [compile(source, '<program>', 'exec'), compile(tests, '<tests>', 'exec')];
    const names = dict();
    exec(codes[0], names);
    settrace(undefined);
    setprofile(undefined);
    exec(codes[1], dict(names));
    return null;
  } catch (error) {
    return failureOf(error);
  }
}

function failureOf(error: unknown): Failure {
  const { type, message = String(error), name } = error as { type?: string; message?: string; name?: string };
  const text = message.trim().split('\n').slice(-keptLines).join('\n').slice(-keptCharacters);
  if (type === 'MemoryError') return { outcome: 'out_of_memory', error: 'MemoryError' };
  if (name === 'PythonError') return { outcome: 'failed', error: text };
  if (name === 'ExitStatus' || name === 'Exit')
    return { outcome: 'failed', error: `The program ended before its tests were through (${text}).` };
  return { outcome: 'killed', error: `Python ended: ${text}` };
}

/** All bytes that a program writes into files, since they take memory that no other limit counts. */
function limitFiles({ FS }: PyodideAPI, most: number): void {
  const { MEMFS } = FS.filesystems;
  const noSpaceLeft = 51;
  let written = 0;
  const count = ({ usedBytes }: FileNode, size: number) => {
    written += Math.max(0, size - usedBytes);
    if (written > most) throw new FS.ErrnoError(noSpaceLeft);
  };
  const { stream } = MEMFS.ops_table.file;
  const { write } = stream;
  stream.write = (file, buffer, offset, length, position, canOwn) => {
    count(file.node, position + length);
    return write(file, buffer, offset, length, position, canOwn);
  };
  const resize = MEMFS.resizeFileStorage.bind(MEMFS);
  MEMFS.resizeFileStorage = (node, size) => {
    count(node, size);
    resize(node, size);
  };
}

function readExactly(count: number): Uint8Array {
  const bytes = new Uint8Array(count);
  for (let at = 0; at < count;) {
    const read = patiently(() => fs.readSync(0, bytes, at, count - at, null));
    if (read === 0) throw new Error('The request ends too early.');
    at += read;
  }
  return bytes;
}

async function answer(): Promise<void> {
  const text = (count: number) => new TextDecoder().decode(readExactly(count));
  const [size, snapshotSize] = [Number(text(10)), Number(text(10))];
  const request = JSON.parse(text(size)) as Request;
  const snapshot = readExactly(snapshotSize);
  const { token } = request;
  const encoder = new TextEncoder();
  const line = (content: string) => encoder.encode(`{"token":"${token}",${content}}\n`);
  // Made before the program runs: one that reached JavaScript could change what makes text of values.
  const [started, passed] = [line('"isStarted":true'), line('"isPassed":true')];
  const { stringify } = JSON;
  const fail = (failure: Failure) => {
    writeAll(1, line(`"failure":${stringify(failure)}`));
    leave(0);
  };
  let printed = 0;
  const count = (bytes: Uint8Array) => {
    printed += bytes.length;
    if (printed > request.outputBytes)
      fail({ outcome: 'killed', error: `The program printed more than ${request.outputBytes} bytes.` });
    return bytes.length;
  };
  const pyodide = await load({ _loadSnapshot: snapshot });
  pyodide.setStdout({ write: count });
  pyodide.setStderr({ write: count });
  limitFiles(pyodide, request.temporaryBytes);
  await closeRealm();
  writeAll(1, started);
  const failure = run(pyodide, request);
  if (failure !== null) fail(failure);
  writeAll(1, passed);
  leave(0);
}

await (mode === 'prepare' ? prepare() : answer());
