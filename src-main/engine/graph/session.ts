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

/** A call of a session: what is fed and what comes back, by name. */
export interface Entry {
  /** Placeholders. */
  inputs: Record<string, Tensor>;
  /** f32 or i32 tensors of the main graph. */
  outputs: Record<string, Tensor>;
}

interface TensorInfo {
  name: string;
  dtype: 'float32' | 'int32';
  tfDtype: string;
  shape: [];
}

type LoadedModel = Awaited<ReturnType<Tensorflow['node']['loadSavedModel']>>;

/**
 * A running graph. All entries share its variables. Calls are synchronous and run on the calling thread.
 */
export class Session {
  readonly #tf: Tensorflow;
  readonly #first: LoadedModel;
  readonly #entries: Record<string, Entry>;
  readonly #models = new Map<string, LoadedModel>();

  private constructor(tf: Tensorflow, first: LoadedModel, entries: Record<string, Entry>) {
    this.#tf = tf;
    this.#first = first;
    this.#entries = entries;
  }

  /** Writes the graph as a SavedModel into a temporary folder, loads it and removes the folder. */
  static async open(tf: Tensorflow, graph: Graph, entries: Record<string, Entry>): Promise<Session> {
    const folder = mkdtempSync(join(tmpdir(), 'id-lora-graph-'));
    try {
      writeFileSync(join(folder, 'saved_model.pb'), serializeSavedModel(graph));
      const first = await tf.node.loadSavedModel(folder, [savedModelTag], loadSignature);
      return new Session(tf, first, entries);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }

  /**
   * Runs an entry.
   * @param feeds one array per input, in the placeholder's shape; where that has -1, the length decides
   * @returns one array per output
   */
  run(name: string, feeds: Record<string, HostArray>): Record<string, HostArray> {
    const entry = this.#entries[name];
    if (!entry) throw new Error(`the session has no entry ${name}`);
    const tf = this.#tf;
    let results: Record<string, HostArray> = {};
    // Nothing is returned from tidy: it would look for tensors in it, element by element of every array.
    tf.tidy(() => {
      const inputs = Object.fromEntries(
        Object.entries(entry.inputs).map(([key, placeholder]) => {
          const data = feeds[key];
          if (!data) throw new Error(`${name}: input ${key} is missing`);
          return [key, tf.tensor(data, hostShape(key, data, placeholder), hostType(placeholder.dtype))];
        }),
      );
      const outputs = this.#model(name, entry).predict(inputs) as tensorflow.NamedTensorMap;
      results = Object.fromEntries(
        Object.entries(outputs).map(([key, tensor]) => [key, tensor.dataSync() as HostArray]),
      );
    });
    return results;
  }

  close(): void {
    this.#first.dispose();
  }

  /**
   * The entry as tfjs-node's TFSavedModel over the loaded session. Made by its constructor instead of
   * another loadSavedModel call, since that parses the whole file again for every signature.
   */
  #model(name: string, entry: Entry): LoadedModel {
    const known = this.#models.get(name);
    if (known) return known;
    const TFSavedModel = this.#first.constructor as new (...args: unknown[]) => LoadedModel;
    const first = this.#first as unknown as { sessionId: number; backend: unknown };
    const infos = (tensors: Record<string, Tensor>) =>
      Object.fromEntries(Object.entries(tensors).map(([key, tensor]) => [key, tensorInfo(tensor)]));
    // A job id of -1 is in nobody's table: disposing belongs to the first model alone.
    const model = new TFSavedModel(
      first.sessionId,
      -1,
      { inputs: infos(entry.inputs), outputs: infos(entry.outputs) },
      first.backend,
    );
    this.#models.set(name, model);
    return model;
  }
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
