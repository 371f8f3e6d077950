import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { adapterConfigSchema, type TrainConfigInput } from '../../../src-main/contract/training.ts';
import { createInbox } from '../../../src-main/engine/process/inbox.ts';
import { runEngineRequest } from '../../../src-main/engine/process/jobs.ts';
import type { ExportResult, RouteResult } from '../../../src-main/engine/protocol.ts';
import { trainedFolder } from '../../../src-main/formats/checkpoint/checkpointFolder.ts';
import { SafetensorsFile, writeSafetensors } from '../../../src-main/formats/files/safetensors.ts';
import { writeTokenFile } from '../../../src-main/formats/files/tokenFile.ts';
import { keptVariance } from '../../../src-main/options/exits.ts';
import { logitsOf } from '../../support/parity/parityCase.ts';
import { maxDifference } from '../../support/parity/recordedValues.ts';
import { fixtures } from '../../support/paths.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';
import { trainTiny } from '../../support/trainingRun.ts';

type Adapter = TrainConfigInput['adapter'];
const common = { rank: 4, alpha: 8 };
const adapters: [name: string, model: string, adapter: Adapter][] = [
  [
    'idlora',
    'tiny-llama',
    { ...common, method: 'idlora', clusters: 3, pivots: 'random', rankPattern: { q_proj: 2 } },
  ],
  ['idlora, boost 4', 'tiny-qwen2', { ...common, method: 'idlora', clusters: 2, boost: 4, pivots: 'serial' }],
  ['idlora, Gaussian bases', 'tiny-llama', { ...common, method: 'idlora', clusters: 3, pivots: 'gaussian' }],
  [
    'idlora, fixed route',
    'tiny-llama',
    { ...common, method: 'idlora', clusters: 3, router: 'fixed', pivots: 'svd' },
  ],
  ['hydralora', 'tiny-gemma', { ...common, method: 'hydralora', rankStabilized: true }],
  [
    'moelora',
    'tiny-qwen3',
    { ...common, method: 'moelora', experts: 2, alphaPattern: { 'mlp.up_proj': 3 }, layers: [1] },
  ],
  ['moelora, task gate', 'tiny-llama', { ...common, method: 'moelora', experts: 2, gate: 'task' }],
];

const ids = [1, 20, 33, 47, 5, 90, 14, 8, 61, 77];
const request = <R>(asked: Parameters<typeof runEngineRequest>[0]) =>
  runEngineRequest(asked, () => undefined, createInbox()) as Promise<R>;

/** Sets the routers of a checkpoint to zero: all experts then weigh the same for every token. */
function evenRoute(folder: string): void {
  const path = join(folder, 'adapter_model.safetensors');
  const file = new SafetensorsFile(path, 'internal');
  const tensors = [...file.tensors].map(([name, { dtype, shape }]) => ({
    name,
    dtype,
    shape,
    data: name.includes('_router.') ? new Uint8Array(file.read(name).length) : file.read(name),
  }));
  file.close();
  writeSafetensors(path, tensors);
}

it.each(adapters)('a LoRA is %s where the route is the same for every token', async (_name, model, asked) => {
  const folder = temporaryFolder();
  const modelFolder = join(fixtures, model);
  const config = { adapter: asked, maxSteps: 3, learningRate: 2e-2, batch: 2 };
  mkdirSync(join(folder, 'run'));
  const { result } = await trainTiny({ config, folder: join(folder, 'run'), modelFolder, tasks: 1 });
  const adapter = adapterConfigSchema.parse(asked);
  const trained = trainedFolder(result.checkpoint!, adapter.method);
  evenRoute(trained);

  const tokenFile = join(folder, 'rows.route');
  const row = { ids: Int32Array.from(ids), trained: new Uint8Array(ids.length), task: 0 };
  writeTokenFile(tokenFile, [row, { ...row, ids: row.ids.slice(0, 4), trained: row.trained.slice(0, 4) }]);
  const reference = { folder: modelFolder, precision: 'f32', adapterFolder: trained } as const;
  const route = await request<RouteResult>({ kind: 'route', model: reference, tokenFile, batch: 8 });
  // Padding does not count.
  expect(route.tokens).toBe(14);
  for (const { weights } of route.sites)
    expect(weights.reduce((sum, weight) => sum + weight, 0)).toBeCloseTo(1, 5);

  const outFolder = join(folder, 'lora');
  const { peft } = await request<ExportResult>({
    kind: 'export',
    format: 'lora',
    modelFolder,
    checkpoint: result.checkpoint!,
    baseName: 'organization/base',
    adapter,
    quantization: 'none',
    outFolder,
    route: route.sites,
  });
  expect(peft).toMatchObject({ isEqual: true, modules: route.sites.length });
  const routed = await logitsOf(modelFolder, ids, trained);
  expect(maxDifference(await logitsOf(modelFolder, ids, outFolder), routed)).toBeLessThan(1e-4);
  // Three steps must have changed something, or equal logits would prove nothing.
  expect(maxDifference(await logitsOf(modelFolder, ids, null), routed)).toBeGreaterThan(0.01);

  // The same LoRA merged, and the nearest one of a lower rank.
  const whole = { modelFolder, checkpoint: result.checkpoint!, baseName: 'organization/base', adapter };
  const again = { ...whole, kind: 'export', quantization: 'none', route: route.sites } as const;
  const mergedFolder = join(folder, 'merged');
  const merged = await request<ExportResult>({ ...again, format: 'merged', outFolder: mergedFolder });
  expect(merged.merged).toMatchObject({ isEqual: true });
  expect(maxDifference(await logitsOf(mergedFolder, ids, null), routed)).toBeLessThan(1e-3);
  const cutFolder = join(folder, 'cut');
  const cut = await request<ExportResult>({ ...again, format: 'lora', outFolder: cutFolder, rank: 2 });
  expect(cut.peft).toMatchObject({ isEqual: true, modules: route.sites.length });
  // Those that a pattern gives no higher rank are whole.
  const cutPaths = cut.cutModules!.map(({ path }) => path);
  expect(cutPaths.length).toBeGreaterThan(6);
  expect(route.sites.map(({ path }) => path)).toEqual(expect.arrayContaining(cutPaths));
  expect(keptVariance(cut.cutModules!)).toBeGreaterThan(0.3);
  for (const { kept } of cut.cutModules!) expect(kept).toBeLessThanOrEqual(1);
  expect(merged.cutModules).toBeNull();
  const written = JSON.parse(readFileSync(join(cutFolder, 'adapter_config.json'), 'utf8')) as object;
  expect(written).toMatchObject({ r: 2, lora_alpha: 2 });
});
