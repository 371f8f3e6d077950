import { expect, it } from 'vitest';
import { elementCount } from '../../../src-main/engine/graph/dtype.ts';
import { Graph } from '../../../src-main/engine/graph/graph.ts';
import { openSession } from '../../../src-main/engine/graph/session.ts';
import { assignByIndex, createVariable, readByIndex } from '../../../src-main/engine/graph/variables.ts';
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
