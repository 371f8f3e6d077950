import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { adapterConfigSchema, type TrainConfigInput } from '../../src-main/contract/training.ts';
import { createInbox } from '../../src-main/engine/process/inbox.ts';
import { runEngineRequest } from '../../src-main/engine/process/jobs.ts';
import { loadsInPeft } from '../../src-main/options/exits.ts';
import { writePythonPackage } from '../../src-main/services/exports/pythonPackage.ts';
import { SafetensorsFile } from '../../src-main/formats/files/safetensors.ts';
import { expectWithin } from '../support/parity/parityBounds.ts';
import { logitsOf } from '../support/parity/parityCase.ts';
import { fixtures, projectFolder } from '../support/paths.ts';
import { floats, maxDifference } from '../support/parity/recordedValues.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';
import { trainTiny } from '../support/trainingRun.ts';

/** `npm run parity` sets it: a Python with torch, transformers and PEFT. */
const python = process.env['ID_LORA_PARITY_PYTHON'];
const note = python ? '' : ' (skipped: `npm run parity` runs it)';

type Adapter = TrainConfigInput['adapter'];
const base = { rank: 4, alpha: 8 } satisfies Partial<Adapter>;
const selection = {
  rankStabilized: true,
  rankPattern: { q_proj: 2, 'layers\\.0\\..*\\.down_proj': 8 },
  alphaPattern: { 'mlp.up_proj': 3 },
};

/** What is trained for a few steps, exported and read by the others; PEFT reads the first seven. */
const exports: { name: string; model: string; adapter: Adapter }[] = [
  { name: 'lora', model: 'tiny-llama', adapter: { ...base, method: 'lora' } },
  { name: 'lora with patterns', model: 'tiny-qwen2', adapter: { ...base, ...selection, method: 'lora' } },
  { name: 'lora of one layer', model: 'tiny-mistral', adapter: { ...base, method: 'lora', layers: [1] } },
  { name: 'dora', model: 'tiny-qwen3', adapter: { ...base, method: 'dora' } },
  { name: 'dora with patterns', model: 'tiny-llama', adapter: { ...base, ...selection, method: 'dora' } },
  {
    name: 'dora of two modules',
    model: 'tiny-qwen2',
    adapter: { ...base, method: 'dora', targets: ['q_proj', 'v_proj'] },
  },
  { name: 'lora, joined projections', model: 'tiny-phi3', adapter: { ...base, method: 'lora' } },
  { name: 'idlora', model: 'tiny-llama', adapter: { ...base, method: 'idlora' } },
  {
    name: 'idlora with patterns',
    model: 'tiny-qwen3',
    adapter: { ...base, ...selection, clusters: 2, method: 'idlora' },
  },
  {
    name: 'idlora, pivot router',
    model: 'tiny-qwen2',
    adapter: { ...base, method: 'idlora', router: 'pivot', clusters: 2 },
  },
  { name: 'hydralora', model: 'tiny-mistral', adapter: { ...base, method: 'hydralora' } },
  { name: 'moelora', model: 'tiny-llama', adapter: { ...base, method: 'moelora' } },
  {
    name: 'moelora, task gate',
    model: 'tiny-qwen3',
    adapter: { ...base, method: 'moelora', gate: 'task', experts: 2 },
  },
  { name: 'full', model: 'tiny-qwen2', adapter: { ...base, method: 'full' } },
  { name: 'merged lora', model: 'tiny-phi3', adapter: { ...base, method: 'lora' } },
  {
    name: 'merged lora with patterns',
    model: 'tiny-qwen2',
    adapter: { ...base, ...selection, method: 'lora' },
  },
  { name: 'merged dora', model: 'tiny-gemma', adapter: { ...base, ...selection, method: 'dora' } },
];

const ids = [1, 20, 33, 47, 5, 90, 14, 8, 61, 77];
const folder = temporaryFolder();
const folderOf = (name: string) => join(folder, name.replaceAll(/[ ,]+/g, '-'));

/** Whether an export is a whole model. */
const isMerged = ({ name, adapter }: Pick<(typeof exports)[number], 'name' | 'adapter'>) =>
  adapter.method === 'full' || name.startsWith('merged');

/** Model and adapter folder of an export. */
function exported({ name, model, adapter }: (typeof exports)[number]) {
  const out = join(folderOf(name), 'export');
  return isMerged({ name, adapter })
    ? { model: out, adapter: null }
    : { model: join(fixtures, model), adapter: out };
}

describe.skipIf(!python)(`transformers and PEFT read what the studio exports${note}`, () => {
  beforeAll(async () => {
    for (const { name, model, adapter } of exports) {
      const modelFolder = join(fixtures, model);
      const run = folderOf(name);
      mkdirSync(run);
      const config = { adapter, maxSteps: 3, learningRate: 2e-2, batch: 2 };
      const { result } = await trainTiny({ config, folder: run, modelFolder, tasks: 1 });
      await runEngineRequest(
        {
          kind: 'export',
          format: isMerged({ name, adapter }) ? 'merged' : 'peft',
          modelFolder,
          checkpoint: result.checkpoint!,
          baseName: 'organization/base',
          adapter: adapterConfigSchema.parse(adapter),
          quantization: 'none',
          outFolder: join(run, 'export'),
        },
        () => undefined,
        createInbox(),
      );
      if (adapter.method !== 'full' && !loadsInPeft(adapter.method)) writePythonPackage(join(run, 'export'));
    }
    const requests = exports.map((each) => ({
      ...exported(each),
      ids,
      out: join(folderOf(each.name), 'theirs.safetensors'),
    }));
    writeFileSync(join(folder, 'requests.json'), JSON.stringify(requests));
    const generator = join(projectFolder, 'tests', 'parity', 'generator');
    execFileSync(python!, ['-W', 'ignore', generator, 'logits', join(folder, 'requests.json')], {
      stdio: 'pipe',
    });
  }, 600_000);

  it.each(exports)('$name on $model: the same logits', async (each) => {
    const { model, adapter } = exported(each);
    const ours = await logitsOf(model, ids, adapter);
    const unadapted = await logitsOf(join(fixtures, each.model), ids, null);
    const theirs = new SafetensorsFile(join(folderOf(each.name), 'theirs.safetensors'), 'internal');
    expectWithin(
      'exported logits',
      `${each.name} on ${each.model}`,
      maxDifference(ours, floats(theirs, 'logits')),
    );
    if (theirs.tensors.has('package'))
      expectWithin(
        'exported logits',
        `${each.name} on ${each.model}, by the Python package`,
        maxDifference(ours, floats(theirs, 'package')),
      );
    expect(theirs.tensors.has('package')).toBe(!/^(?:lora|dora|full|merged)/.test(each.name));
    theirs.close();
    // Three steps must have changed something, or equal logits would prove nothing.
    expect(maxDifference(ours, unadapted)).toBeGreaterThan(0.01);
  });
});
