import { expect, it } from 'vitest';
import { elementCount } from '../../../src-main/engine/graph/dtype.ts';
import { Graph } from '../../../src-main/engine/graph/graph.ts';
import { cast } from '../../../src-main/engine/graph/ops/elementwise.ts';
import { gatherByteRows } from '../../../src-main/engine/graph/ops/layout.ts';
import { hostBytes, openSession, type Entries } from '../../../src-main/engine/graph/session.ts';
import { declareTransfers, type Target } from '../../../src-main/engine/graph/transfers.ts';
import {
  createVariable,
  fill,
  assignVariable,
  readVariable,
  type Variable,
} from '../../../src-main/engine/graph/variables.ts';
import { loadTensorflow } from '../../../src-main/engine/runtime/loadTensorflow.ts';

/** One at a time, all at once, and several at a time. */
const ways = [
  { small: -1, together: 0 },
  { small: 2 ** 22, together: 2 ** 24 },
  { small: 2000, together: 5000 },
];

async function open(
  graph: Graph,
  targets: readonly Target[],
  kept: readonly Variable[],
  sizes: (typeof ways)[number],
  entries: Entries = {},
) {
  const transfers = declareTransfers(graph, targets, kept, sizes);
  const session = await openSession<Entries>(loadTensorflow().tf, graph, {
    ...entries,
    ...transfers.entries,
  });
  return { session, ...transfers.connect(session) };
}

it.each(ways)('variables keep values of their own, not the memory that was fed: %o', async (sizes) => {
  const graph = new Graph({ fusion: false });
  // Whether TensorFlow could use the memory as it is depends on where it lies: some of these lie so that it could.
  // Two of each shape, as the layers of a model have them.
  const shapes = Array.from({ length: 48 }, (_, i) => [1 + 37 * (i % 24)]);
  const variables = shapes.map((shape, i) => createVariable(graph, `v${i}`, shape, 'f32'));
  const cleared = variables.map((variable) =>
    assignVariable(variable, fill(graph, variable.shape, 0, 'f32')),
  );
  const clear = { inputs: {}, outputs: { done: graph.after(cleared, () => graph.constant(1)) } };
  const { session, assign, read, settle } = await open(
    graph,
    variables.map((variable) => ({ variable, stored: 'f32' as const })),
    variables,
    sizes,
    { clear },
  );
  const valuesOf = (i: number) => [...new Float32Array(read(variables[i]!).slice().buffer)];
  const expected = (i: number, value: number) => new Array<number>(elementCount(shapes[i]!)).fill(value);
  const fed = shapes.map((shape, i) => {
    const values = new Float32Array(elementCount(shape)).fill(i + 1);
    assign(variables[i]!, hostBytes(values));
    return values;
  });
  settle();
  for (const values of fed) values.fill(-1);
  shapes.forEach((_, i) => expect(valuesOf(i)).toEqual(expected(i, i + 1)));
  // In whatever order they are asked for, and whatever was read ahead.
  for (const i of [40, 3, 41, 3]) expect(valuesOf(i)).toEqual(expected(i, i + 1));
  const other = new Float32Array(elementCount(shapes[4]!)).fill(9);
  assign(variables[4]!, hostBytes(new Float32Array(elementCount(shapes[4]!))));
  assign(variables[4]!, hostBytes(other));
  expect(valuesOf(4)).toEqual(expected(4, 9));
  settle();
  session.run('clear', {});
  shapes.forEach((_, i) => expect(valuesOf(i)).toEqual(expected(i, 0)));
  expect(() => assign(variables[1]!, new Uint8Array(3))).toThrow('3 bytes given, 152 expected');
  session.close();
});

it.each(ways)('integers and bytes come out as they went in, whole words or not: %o', async (sizes) => {
  const graph = new Graph({ fusion: false });
  const pivots = createVariable(graph, 'pivots', [3], 'i64');
  const matrices = [8, 6].map((width) => createVariable(graph, `bytes${width}`, [5, width], 'i8'));
  const halves = createVariable(graph, 'halves', [3, 5], 'bf16');
  const rows = readVariable(pivots);
  const targets: Target[] = [
    { variable: pivots, stored: 'i32' },
    { variable: halves, stored: 'bf16' },
    ...matrices.map((variable) => ({ variable, stored: 'i8' as const })),
  ];
  const { session, assign, read, settle } = await open(graph, targets, [pivots], sizes, {
    rows: {
      inputs: {},
      outputs: {
        halves: cast(readVariable(halves), 'f32'),
        ...Object.fromEntries(
          matrices.map((each) => [each.name, cast(gatherByteRows(readVariable(each), rows), 'f32')]),
        ),
      },
    },
  });
  const chosen = Int32Array.of(4, 0, 3);
  assign(pivots, hostBytes(chosen));
  // 1 to 15 in bf16, an odd number of them.
  const numbers = Uint16Array.from(
    { length: 15 },
    (_, i) => new Uint32Array(Float32Array.of(i + 1).buffer)[0]! >>> 16,
  );
  assign(halves, new Uint8Array(numbers.buffer));
  const values = matrices.map(({ shape }) =>
    Int8Array.from({ length: shape[1]! * 5 }, (_, i) => 7 * i - 128),
  );
  values.forEach((bytes, i) => assign(matrices[i]!, new Uint8Array(bytes.buffer)));
  expect([...new Int32Array(read(pivots).slice().buffer)]).toEqual([...chosen]);
  settle();
  const taken = session.run('rows', {});
  matrices.forEach(({ name, shape }, i) => {
    const width = shape[1]!;
    const expected = [...chosen].flatMap((row) => [...values[i]!.subarray(row * width, (row + 1) * width)]);
    expect([...taken[name]!]).toEqual(expected);
  });
  expect([...taken['halves']!]).toEqual(Array.from({ length: 15 }, (_, i) => i + 1));
  session.close();
});
