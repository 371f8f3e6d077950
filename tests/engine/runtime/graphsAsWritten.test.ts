import { spawnSync } from 'node:child_process';
import { realpathSync } from 'node:fs';
import { dirname } from 'node:path';
import { expect, it } from 'vitest';
import { installedBinding, versions } from '../../../src-main/setup/paths.mjs';
import { projectFolder } from '../../support/paths.ts';

/** Opens a session with more nodes than the few below which TensorFlow rewrites nothing, and calls it. */
const program = `
  const { loadTensorflow } = await import('./src-main/engine/runtime/loadTensorflow.ts');
  const { Graph } = await import('./src-main/engine/graph/graph.ts');
  const { openSession } = await import('./src-main/engine/graph/session.ts');
  const { add } = await import('./src-main/engine/graph/ops/elementwise.ts');
  const graph = new Graph({ fusion: false });
  const x = graph.placeholder('x', [2], 'f32');
  const four = add(add(x, x), add(x, x));
  const entries = { four: { inputs: { x }, outputs: { four } } };
  const session = await openSession(loadTensorflow().tf, graph, entries);
  console.log(JSON.stringify([...session.run('four', { x: new Float32Array([1, 2]) }).four]));
  session.close();
`;

/** Compiled by this set-up, not by an earlier one or the package's own installer. */
const isCurrent = dirname(realpathSync(installedBinding)).endsWith(`-b${versions.bindings}`);

it.runIf(isCurrent)('a graph is run as it was written: TensorFlow rewrites none of it', () => {
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
    cwd: projectFolder,
    encoding: 'utf8',
    // It then says of every graph that it has read it, and of every one that it rewrites.
    env: { ...process.env, TF_CPP_MIN_LOG_LEVEL: '0', TF_CPP_VMODULE: 'meta_optimizer=1' },
  });
  expect(stdout).toBe('[4,8]\n');
  expect(stderr).toMatch(/SavedModel load for tags/);
  expect(stderr).not.toMatch(/meta_optimizer/);
});
