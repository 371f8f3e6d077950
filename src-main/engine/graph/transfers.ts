import { bytesPerElement, elementCount } from './dtype.ts';
import { typeAttribute, type Graph, type Tensor } from './graph.ts';
import { cast } from './ops/elementwise.ts';
import { bitcast, reshape } from './ops/layout.ts';
import { asFloats, hostBytes, type Entries, type Entry, type Session } from './session.ts';
import { assignVariable, readVariable, type Variable } from './variables.ts';
import { bytesAsWords, decodeWords, storedTypeOf, type StoredDType } from './words.ts';

/** A variable that is set from outside. */
export interface Target {
  variable: Variable;
  /** The type in which its values come. */
  stored: StoredDType;
}

/** How values get into the variables of a session and out of them. */
export interface Transfers {
  /**
   * Sets a variable before anything else runs.
   * @param bytes its elements as they are stored; they stay as they are until then
   */
  assign(variable: Variable, bytes: Uint8Array): void;
  /** The bytes of a variable. */
  read(variable: Variable): Uint8Array;
  /** To be called before anything else runs: what was assigned is set, what was read ahead is forgotten. */
  settle(): void;
}

/**
 * A session prepares its graph anew for every set of nodes that is run: 5 ms for a tiny model, 300 ms for one of 30
 * layers, since it copies the whole graph first. Small values therefore cross many at a time, in one run. For large
 * ones that would take a run each, or a second copy of the model: they cross one at a time by a call that chooses among
 * all of them (oneOf) and is prepared once, at 0.1 ms a variable.
 */
export interface TransferSizes {
  /** Values of at most so many bytes cross together with others. */
  small: number;
  /** So many bytes at a time. */
  together: number;
}
const usualSizes: TransferSizes = { small: 2 ** 18, together: 2 ** 26 };

/**
 * Declares how variables are set and read from outside; before the session is opened.
 * @param kept those that are read: f32, i64 or u8, the latter of a size that is a multiple of four
 * @returns what makes them of the open session, and the calls that it needs
 */
export function declareTransfers(
  graph: Graph,
  targets: readonly Target[],
  kept: readonly Variable[],
  sizes: TransferSizes = usualSizes,
): { entries: Entries; connect(session: Session<Entries>): Transfers } {
  const entrance = declareEntrance(graph, targets, sizes);
  const exit = declareExit(graph, kept, sizes);
  return {
    entries: { ...entrance.entries, ...exit.entries },
    connect(session) {
      const { assign, flush } = entrance.connect(session);
      const { read, forget } = exit.connect(session);
      return {
        assign(variable, bytes) {
          forget();
          assign(variable, bytes);
        },
        read(variable) {
          flush();
          return read(variable);
        },
        settle() {
          flush();
          forget();
        },
      };
    },
  };
}

function declareEntrance(graph: Graph, targets: readonly Target[], { small, together }: TransferSizes) {
  const byVariable = new Map(targets.map((target) => [target.variable, target]));
  const large = targets.filter((target) => bytesOf(target) > small);
  const kinds = [...new Set(large.map(kindOfTarget))];
  const groups = kinds.map((kind) => large.filter((target) => kindOfTarget(target) === kind));
  const placeOf = new Map(
    groups.flatMap((ones, group) => ones.map(({ variable }, place) => [variable, { group, place }] as const)),
  );
  const entrances = targets.flatMap((target, i) => {
    if (placeOf.has(target.variable)) return [];
    const given = graph.placeholder(`assign_words_${i}`, [Math.ceil(bytesOf(target) / 4)], 'f32');
    const assigned = assignVariable(target.variable, enteringValue(given, target));
    return [[target.variable, { given, done: graph.after([assigned], () => graph.constant(i)) }] as const];
  });
  const smallOnes = new Map(entrances);
  return {
    entries: large.length > 0 ? { assignLarge: assignByPlace(graph, groups) } : {},
    connect(session: Session<Entries>) {
      const waiting = new Map<Variable, Uint8Array>();
      let waitingBytes = 0;
      const flush = () => {
        if (waiting.size === 0) return;
        const all = [...waiting].map(([variable, bytes]) => ({ ...smallOnes.get(variable)!, bytes }));
        const byNumber = <T>(of: (one: (typeof all)[number]) => T) =>
          Object.fromEntries(all.map((one, i) => [String(i), of(one)]));
        const entry = { inputs: byNumber(({ given }) => given), outputs: byNumber(({ done }) => done) };
        session.call(
          entry,
          byNumber(({ bytes }) => asFloats(bytes)),
        );
        waiting.clear();
        waitingBytes = 0;
      };
      return {
        flush,
        assign(variable: Variable, bytes: Uint8Array) {
          const expected = bytesOf(byVariable.get(variable)!);
          if (bytes.byteLength !== expected)
            throw new Error(`${variable.name}: ${bytes.byteLength} bytes given, ${expected} expected`);
          const where = placeOf.get(variable);
          if (where) {
            session.run('assignLarge', {
              group: Int32Array.of(where.group),
              place: Int32Array.of(where.place),
              words: asFloats(bytes),
            });
            return;
          }
          waiting.set(variable, bytes);
          waitingBytes += bytes.byteLength;
          if (waitingBytes >= together) flush();
        },
      };
    },
  };
}

function declareExit(graph: Graph, kept: readonly Variable[], { small, together }: TransferSizes) {
  const sizeOf = (variable: Variable) => bytesOf({ variable, stored: storedTypeOf(variable) });
  const numbers = new Map(kept.filter((one) => sizeOf(one) > small).map((one, i) => [one, i]));
  // Always the same ones together, whatever is asked for first: another set would be prepared anew.
  const groups: Variable[][] = [];
  let room = 0;
  for (const variable of kept.filter((one) => !numbers.has(one))) {
    if (room < sizeOf(variable)) {
      groups.push([]);
      room = together;
    }
    groups.at(-1)!.push(variable);
    room -= sizeOf(variable);
  }
  const groupOf = new Map(
    groups.flatMap((variables) => {
      const outputs = Object.fromEntries(variables.map((variable, i) => [i, leavingWords(variable)]));
      const group = { variables, entry: { inputs: {}, outputs } };
      return variables.map((variable) => [variable, group] as const);
    }),
  );
  return {
    entries: numbers.size > 0 ? { readLarge: readByIndex(graph, [...numbers.keys()]) } : {},
    connect(session: Session<Entries>) {
      const ahead = new Map<Variable, Uint8Array>();
      const readGroup = (variable: Variable) => {
        const { variables, entry } = groupOf.get(variable)!;
        const read = session.call(entry, {});
        ahead.clear();
        variables.forEach((one, i) => ahead.set(one, hostBytes(read[i]!)));
      };
      return {
        forget: () => ahead.clear(),
        read(variable: Variable): Uint8Array {
          const number = numbers.get(variable);
          if (number !== undefined)
            return hostBytes(session.run('readLarge', { index: Int32Array.of(number) })['words']!);
          if (!ahead.has(variable)) readGroup(variable);
          const bytes = ahead.get(variable)!;
          ahead.delete(variable);
          return bytes;
        },
      };
    },
  };
}

function bytesOf({ variable, stored }: Target): number {
  return elementCount(variable.shape) * bytesPerElement[stored];
}

/**
 * What a variable becomes when `words` enter: its elements as 32-bit words, two 16-bit or four 8-bit elements each (a
 * part of a word is padded).
 *
 * Variables get memory of their own: what is fed is memory of JavaScript where its alignment suits TensorFlow, and
 * nothing on the way into a variable but a conversion copies. The variable would change with the array; and
 * TensorFlow's threads, two at a time, would hand such memory back to Node (which allows that to its main thread alone)
 * when an update replaces it.
 *
 * @param words f32, bit for bit: what chooses among branches or calls a function keeps i32 values in memory of the
 * host, where a GPU's operations do not look for them
 */
function enteringValue(words: Tensor, { variable, stored }: Target): Tensor {
  const isCopied = stored !== variable.dtype;
  return cast(
    decodeWords(isCopied ? words : sameBy('DeepCopy', words), stored, variable.shape),
    variable.dtype,
  );
}

/** A variable's bytes as they are stored, f32 [words]: only f32 and i32 can leave a session. */
function leavingWords(variable: Variable): Tensor {
  const value = readVariable(variable);
  const words = variable.dtype === 'u8' ? bytesAsWords(value) : cast(value, storedTypeOf(variable));
  const flat = reshape(words, [elementCount(words.shape)]);
  return flat.dtype === 'f32' ? flat : bitcast(flat, 'f32', flat.shape);
}

/** Of these it is the same how words become what a variable holds. */
const kindOfTarget = ({ variable, stored }: Target) => [stored, variable.dtype, ...variable.shape].join(' ');

/** A call that sets one variable, that at `place` of its group. */
function assignByPlace(graph: Graph, groups: readonly (readonly Target[])[]): Entry {
  const words = graph.placeholder('assign_words', [-1], 'f32');
  const group = graph.placeholder('assign_group', [], 'i32');
  const place = graph.placeholder('assign_place', [], 'i32');
  const done = oneOf(words, group, groups, (given, targets) =>
    oneOf(enteringValue(given, targets[0]!), place, targets, (value, { variable }) =>
      graph.after([assignVariable(variable, value)], () => graph.constant(1)),
    ),
  );
  return { inputs: { group, place, words }, outputs: { done } };
}

/** A call that gives the words of the variable of a number. */
function readByIndex(graph: Graph, targets: readonly Variable[]): Entry {
  const index = graph.placeholder('read_index', [], 'i32');
  const words = oneOf(index, index, targets, (taken, variable) =>
    graph.after([sameBy('Identity', taken)], () => leavingWords(variable)),
  );
  return { inputs: { index }, outputs: { words } };
}

/**
 * What one of `items` makes of a value, that with the number `index`. The value goes to that one alone (`_SwitchN`);
 * what depends on its other outputs does not run, and `Merge` takes what arrives. A node that does not run takes about
 * 0.3 microseconds a call, and one more node 30 microseconds to prepare. (A `Case` chooses among functions: 1.3 ms each
 * to prepare.)
 * @param result adds the nodes of an item, all of which depend on what it is given; all results are scalars or all are
 * vectors, of one type
 */
function oneOf<T>(
  value: Tensor,
  index: Tensor,
  items: readonly T[],
  result: (value: Tensor, item: T) => Tensor,
): Tensor {
  const { graph } = value;
  const branches = graph.addOperation({
    op: '_SwitchN',
    name: graph.uniqueName('SwitchN'),
    inputs: [value, index],
    attributes: { ...typeAttribute(value.dtype), num_outs: { kind: 'int', value: items.length } },
    outputs: items.map(() => value),
  });
  const results = items.map((item, i) => result(branches[i]!, item));
  const [{ dtype, shape }] = results as [Tensor, ...Tensor[]];
  const [merged] = graph.addOperation({
    op: 'Merge',
    inputs: results,
    attributes: { ...typeAttribute(dtype), N: { kind: 'int', value: results.length } },
    outputs: [
      { shape: shape.map(() => -1), dtype },
      { shape: [], dtype: 'i32' },
    ],
  });
  return merged!;
}

/** The same values by a node of its own, `DeepCopy` in other memory. */
function sameBy(op: 'Identity' | 'DeepCopy', value: Tensor): Tensor {
  const attributes = typeAttribute(value.dtype);
  const [same] = value.graph.addOperation({ op, inputs: [value], attributes, outputs: [value] });
  return same!;
}
