import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { trainConfigSchema, type Method } from '../../../src-main/contract/training.ts';
import type { Core } from '../../../src-main/core/createCore.ts';
import { WeightFolder } from '../../../src-main/formats/model/weightFolder.ts';
import { neverAborted, openTestCore } from '../../support/core.ts';
import { recorded } from '../../support/paths.ts';

/** A model that bitsandbytes stored in 4 bits (tests/parity/generator/packed.py). */
const folder = join(recorded, 'packed', 'model');
let core: Core;
let home: string;

async function train(method: Method) {
  const adapter = { method, rank: 2, alpha: 4, clusters: 2 };
  const options = { adapter, maxSteps: 2, batch: 2, context: 64, heldOutFraction: 0 };
  const config = trainConfigSchema.parse(options);
  return (await core.runs.start({ name: method, model: 'packed', dataset: 'sums', config })).ended;
}

beforeAll(async () => {
  const opened = openTestCore();
  ({ core, home } = opened);
  await core.models.add({ folder, name: 'packed', copy: false });
  await core.datasets.add({ path: opened.dataFile, name: 'sums', format: 'auto' });
});
afterAll(() => core.close());

it('is a model like others, of which it is said how its weights are kept', () => {
  expect(core.models.get('packed')).toMatchObject({ quantization: 'NF4', dtype: 'BF16', parameters: 86_976 });
});

it('is trained, rows of its weights being pivots too, and is merged into a whole model', async () => {
  for (const method of ['idlora', 'lora'] as const) expect((await train(method)).state).toBe('done');
  const out = join(home, 'merged');
  const made = await core.exports.create({ run: 'lora', format: 'merged', folder: out }, neverAborted);
  expect(made.certificate.equal).toBe(true);
  const config = JSON.parse(readFileSync(join(out, 'config.json'), 'utf8')) as object;
  expect(config).not.toHaveProperty('quantization_config');
  const weights = new WeightFolder(out);
  expect(weights.quantization).toBeNull();
  expect(weights.info('model.layers.0.mlp.up_proj.weight')).toMatchObject({
    dtype: 'BF16',
    shape: [128, 64],
  });
  weights.close();
}, 120_000);
