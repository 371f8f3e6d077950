import { expect, it } from 'vitest';
import { checkpointed } from '../../../src-main/engine/graph/checkpointed.ts';
import { gradients } from '../../../src-main/engine/graph/gradients.ts';
import { Graph } from '../../../src-main/engine/graph/graph.ts';
import { exp, multiply } from '../../../src-main/engine/graph/ops/elementwise.ts';
import { sum } from '../../../src-main/engine/graph/ops/reduce.ts';

it('computes again behind the arriving gradient, and reaches trained values that the part reads', () => {
  const graph = new Graph({ fusion: false });
  const x = graph.placeholder('x', [3], 'f32');
  const w = graph.placeholder('w', [3], 'f32');
  const unread = graph.placeholder('unread', [3], 'f32');
  const [y] = checkpointed(
    [x],
    ([input]) => [exp(multiply(input!, w))],
    () => [w, unread],
  );
  const loss = sum(multiply(y!, y!), [0]);
  const found = gradients([loss], [graph.constant(1)], [x, w, unread]);
  expect(found.map((gradient) => gradient !== null)).toEqual([true, true, false]);
  const [first, second] = graph.main.nodes.filter(({ op }) => op === 'Exp');
  expect(first!.inputs.some((name) => name.startsWith('^'))).toBe(false);
  expect(second!.inputs.some((name) => name.startsWith('^'))).toBe(true);
});
