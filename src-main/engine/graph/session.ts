import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type * as tensorflow from '@tensorflow/tfjs-node-gpu';
import { elementCount, type DType } from './dtype.ts';
import type { Graph, Tensor } from './graph.ts';
import { loadSignature, savedModelTag, serializeSavedModel } from './savedModel.ts';

/** The tfjs-node-gpu module, as engine/runtime loads it. */
export type Tensorflow = typeof tensorflow;

/** Numbers that cross into or out of a session: f32 and i32 only (the binding knows no bf16 values). */
export type HostArray = Float32Array | Int32Array;

/** Bytes as 32-bit words, as they enter a session; a trailing part of a word is padded with zeros. */
export function asWords(bytes: Uint8Array): Int32Array {
  if (bytes.byteLength % 4 === 0 && bytes.byteOffset % 4 === 0)
    return new Int32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
  const copy = new Uint8Array(Math.ceil(bytes.byteLength / 4) * 4);
  copy.set(bytes);
  return new Int32Array(copy.buffer);
}

/** The same, as numbers that mean nothing: bit for bit. */
export function asFloats(bytes: Uint8Array): Float32Array {
  const words = asWords(bytes);
  return new Float32Array(words.buffer, words.byteOffset, words.length);
}

/** The bytes of an array that came out of a session. */
export function hostBytes(values: HostArray): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

/** Tensors by name. */
export type Tensors<Name extends string = string> = Readonly<Record<Name, Tensor>>;

/** A call of a session: what is fed and what comes back, by name. */
export interface Entry<Inputs extends Tensors = Tensors, Outputs extends Tensors = Tensors> {
  /** Placeholders. */
  inputs: Inputs;
  /** f32 or i32 tensors of the main graph. */
  outputs: Outputs;
}

/** A call that has no result: it makes nodes run. @param nodes their names */
export function effectEntry(graph: Graph, nodes: readonly string[]) {
  return { inputs: {}, outputs: { done: graph.after(nodes, () => graph.constant(1, 'i32')) } };
}

/** The calls of a session by name. */
export type Entries = Readonly<Record<string, Entry>>;

/** One array per tensor; optional where the tensor is. */
export type HostArrays<T extends Tensors> = { readonly [Name in keyof T]: HostArray };

type EntryOf<E extends Entries, Name extends keyof E> = NonNullable<E[Name]>;

/**
 * A running graph. All entries share its variables. Calls are synchronous and run on the calling thread.
 */
export interface Session<E extends Entries> {
  /**
   * Runs an entry.
   * @param feeds one array per input, in the placeholder's shape; where that has -1, the length decides
   * @returns one array per output
   */
  run<Name extends keyof E & string>(
    name: Name,
    feeds: HostArrays<EntryOf<E, Name>['inputs']>,
  ): HostArrays<EntryOf<E, Name>['outputs']>;
  /** Runs a call that was not among the entries: any tensors of the main graph that can cross. */
  call(entry: Entry, feeds: HostArrays<Tensors>): HostArrays<Tensors>;
  close(): void;
}

interface TensorInfo {
  name: string;
  dtype: 'float32' | 'int32';
  tfDtype: string;
  shape: [];
}

type LoadedModel = Awaited<ReturnType<Tensorflow['node']['loadSavedModel']>>;

/** Writes the graph as a SavedModel into a temporary folder, loads it and removes the folder. */
export async function openSession<E extends Entries>(
  tf: Tensorflow,
  graph: Graph,
  entries: E,
): Promise<Session<E>> {
  const folder = mkdtempSync(join(tmpdir(), 'id-lora-graph-'));
  let first: LoadedModel;
  try {
    writeFileSync(join(folder, 'saved_model.pb'), serializeSavedModel(graph));
    first = await tf.node.loadSavedModel(folder, [savedModelTag], loadSignature);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  const calls = new Map<string, (feeds: HostArrays<Tensors>) => HostArrays<Tensors>>();
  return {
    run<Name extends keyof E & string>(name: Name, feeds: HostArrays<EntryOf<E, Name>['inputs']>) {
      let call = calls.get(name);
      if (!call) {
        const entry: Entry | undefined = entries[name];
        if (!entry) throw new Error(`the session has no entry ${name}`);
        calls.set(name, (call = callOf(tf, first, name, entry)));
      }
      return call(feeds) as HostArrays<EntryOf<E, Name>['outputs']>;
    },
    call: (entry, feeds) => callOf(tf, first, 'call', entry)(feeds),
    close: () => void first.dispose(),
  };
}

/**
 * An entry as a function. It is run by tfjs-node's TFSavedModel over the loaded session, made by its constructor
 * instead of another loadSavedModel call, since that parses the whole file again for every signature.
 */
function callOf(tf: Tensorflow, first: LoadedModel, name: string, { inputs, outputs }: Entry) {
  const TFSavedModel = first.constructor as new (...args: unknown[]) => LoadedModel;
  const { sessionId, backend } = first as unknown as { sessionId: number; backend: unknown };
  const signature = { inputs: mapValues(inputs, tensorInfo), outputs: mapValues(outputs, tensorInfo) };
  // A job id of -1 is in nobody's table: disposing belongs to the first model alone.
  const model = new TFSavedModel(sessionId, -1, signature, backend);
  return (feeds: HostArrays<Tensors>): HostArrays<Tensors> => {
    let results: HostArrays<Tensors> = {};
    // Nothing is returned from tidy: it would look for tensors in it, element by element of every array.
    tf.tidy(() => {
      const fed = mapValues(inputs, (placeholder, key) => {
        const data = feeds[key];
        if (!data) throw new Error(`${name}: input ${key} is missing`);
        return tf.tensor(data, hostShape(key, data, placeholder), hostType(placeholder.dtype));
      });
      const fetched = model.predict(fed) as tensorflow.NamedTensorMap;
      results = mapValues(fetched, (tensor) => tensor.dataSync() as HostArray);
    });
    return results;
  };
}

function mapValues<T, R>(record: Readonly<Record<string, T>>, map: (value: T, key: string) => R) {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(value, key)]));
}

function tensorInfo(tensor: Tensor): TensorInfo {
  const name = tensor.reference.includes(':') ? tensor.reference : `${tensor.reference}:0`;
  return tensor.dtype === 'i32'
    ? { name, dtype: 'int32', tfDtype: 'DT_INT32', shape: [] }
    : { name, dtype: 'float32', tfDtype: 'DT_FLOAT', shape: [] };
}

function hostType(dtype: DType): 'float32' | 'int32' {
  if (dtype === 'i32') return 'int32';
  if (dtype === 'f32') return 'float32';
  throw new Error(`values of type ${dtype} cannot cross the binding: cast to f32 or i32 in the graph`);
}

function hostShape(key: string, data: HostArray, placeholder: Tensor): number[] {
  if (placeholder.shape.includes(-1)) return [data.length];
  if (data.length !== elementCount(placeholder.shape))
    throw new Error(`${key}: ${data.length} values for shape [${placeholder.shape.join()}]`);
  return [...placeholder.shape];
}
