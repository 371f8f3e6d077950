import { expect, it } from 'vitest';
import { elementCount } from '../../../src-main/engine/graph/dtype.ts';
import { Graph } from '../../../src-main/engine/graph/graph.ts';
import { cast } from '../../../src-main/engine/graph/ops/elementwise.ts';
import { gatherByteRows } from '../../../src-main/engine/graph/ops/layout.ts';
import { asWords, openSession } from '../../../src-main/engine/graph/session.ts';
import {
  assignByIndex,
  createVariable,
  readByIndex,
  readVariable,
} from '../../../src-main/engine/graph/variables.ts';
import { loadTensorflow } from '../../../src-main/engine/runtime/loadTensorflow.ts';

it('variables keep values of their own, not the memory that was fed', async () => {
  const graph = new Graph({ fusion: false });
  // Whether TensorFlow could use the memory as it is depends on where it lies: some of these lie so that it could.
  const shapes = Array.from({ length: 48 }, (_, i) => [1 + 37 * i]);
  const variables = shapes.map((shape, i) => createVariable(graph, `v${i}`, shape, 'f32'));
  const index = graph.placeholder('index', [], 'i32');
  const words = graph.placeholder('words', [-1], 'i32');
  const stored = variables.map((variable) => ({ variable, stored: 'f32' as const }));
  const session = await openSession(loadTensorflow().tf, graph, {
    assign: { inputs: { index, words }, outputs: { done: assignByIndex(graph, stored, index, words) } },
    read: { inputs: { index }, outputs: { values: readByIndex(graph, variables, index) } },
  });
  const fed = shapes.map((shape, i) => {
    const values = new Float32Array(elementCount(shape)).fill(i + 1);
    session.run('assign', { index: Int32Array.of(i), words: new Int32Array(values.buffer) });
    return values;
  });
  for (const values of fed) values.fill(-1);
  shapes.forEach((shape, i) => {
    const values = session.run('read', { index: Int32Array.of(i) }).values;
    expect([...values]).toEqual(new Array<number>(elementCount(shape)).fill(i + 1));
  });
  session.close();
});

it('integers and bytes come out as they went in, rows of bytes with them, whole words or not', async () => {
  const graph = new Graph({ fusion: false });
  const pivots = createVariable(graph, 'pivots', [3], 'i64');
  const matrices = [8, 6].map((width) => createVariable(graph, `bytes${width}`, [5, width], 'i8'));
  const index = graph.placeholder('index', [], 'i32');
  const words = graph.placeholder('words', [-1], 'i32');
  const rows = readVariable(pivots);
  const targets = [
    { variable: pivots, stored: 'i32' as const },
    ...matrices.map((variable) => ({ variable, stored: 'i8' as const })),
  ];
  const session = await openSession(loadTensorflow().tf, graph, {
    assign: { inputs: { index, words }, outputs: { done: assignByIndex(graph, targets, index, words) } },
    read: { inputs: { index }, outputs: { values: readByIndex(graph, [pivots], index) } },
    rows: {
      inputs: {},
      outputs: Object.fromEntries(
        matrices.map((each) => [each.name, cast(gatherByteRows(readVariable(each), rows), 'f32')]),
      ),
    },
  });
  const chosen = Int32Array.of(4, 0, 3);
  session.run('assign', { index: Int32Array.of(0), words: chosen });
  const values = matrices.map(({ shape }) =>
    Int8Array.from({ length: shape[1]! * 5 }, (_, i) => 7 * i - 128),
  );
  values.forEach((bytes, i) =>
    session.run('assign', { index: Int32Array.of(i + 1), words: asWords(new Uint8Array(bytes.buffer)) }),
  );
  const read = session.run('read', { index: Int32Array.of(0) }).values;
  expect([...new Int32Array(read.buffer, read.byteOffset, read.length)]).toEqual([...chosen]);
  const taken = session.run('rows', {});
  matrices.forEach(({ name, shape }, i) => {
    const width = shape[1]!;
    const expected = [...chosen].flatMap((row) => [...values[i]!.subarray(row * width, (row + 1) * width)]);
    expect([...taken[name]!]).toEqual(expected);
  });
  session.close();
});
