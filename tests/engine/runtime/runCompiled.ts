import { fusedOne } from '../../../src-main/engine/graph/fused.ts';
import { Graph } from '../../../src-main/engine/graph/graph.ts';
import { exp, multiply } from '../../../src-main/engine/graph/ops/elementwise.ts';
import { openSession } from '../../../src-main/engine/graph/session.ts';
import { asDamagedCompiled } from '../../../src-main/engine/runtime/compiledFunctions.ts';
import { loadTensorflow } from '../../../src-main/engine/runtime/loadTensorflow.ts';

/** Runs a function that XLA compiles, as an engine does, and prints its result or what the failure is told as. */
const { tf } = loadTensorflow();
const graph = new Graph({ fusion: true });
const x = graph.placeholder('x', [4], 'f32');
const y = fusedOne('squared_exponential', [x], ([value]) => multiply(exp(value!), exp(value!)));
const session = await openSession(tf, graph, { run: { inputs: { x }, outputs: { y } } });
try {
  console.log(JSON.stringify({ y: [...session.run('run', { x: Float32Array.of(0, 1, 2, 3) }).y] }));
} catch (error) {
  const told = asDamagedCompiled(error);
  console.log(JSON.stringify(told ? { code: told.code, message: told.message } : { other: String(error) }));
}
