import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { loadTensorflow } from '../../../src-main/engine/runtime/loadTensorflow.ts';
import {
  chooseProducts,
  measureProducts,
  type ProductsProbe,
  type ProductSpeeds,
} from '../../../src-main/engine/runtime/products.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';

const tf = null as never;
const cpu = { tf, version: '2.21.0', devices: ['cpu'] };

function probeOf(speeds: ProductSpeeds | Error, more: Partial<ProductsProbe> = {}) {
  const asked: number[] = [];
  const probe: ProductsProbe = {
    folder: temporaryFolder(),
    wanted: undefined,
    processor: 'EPYC, 2 cores',
    measure(_tf, width) {
      asked.push(width);
      return speeds instanceof Error ? Promise.reject(speeds) : Promise.resolve(speeds);
    },
    ...more,
  };
  return { probe, asked };
}

it('takes what is measured to be faster, whatever the processor says of itself', async () => {
  const fastBf16 = probeOf({ native: 400e9, widened: 200e9 });
  expect(await chooseProducts(cpu, 1024, fastBf16.probe)).toEqual({
    products: 'native',
    reason: expect.stringContaining(
      'measured 400 GFLOP/s in bf16 and 200 in f32 (EPYC, 2 cores, TensorFlow 2.21.0',
    ),
  });
  const fastF32 = probeOf({ native: 95e9, widened: 300e9 });
  expect((await chooseProducts(cpu, 1024, fastF32.probe)).products).toBe('widened');
  // As good as equal: the exact one.
  const alike = probeOf({ native: 301e9, widened: 300e9 });
  expect((await chooseProducts(cpu, 1024, alike.probe)).products).toBe('widened');
  expect(await chooseProducts({ ...cpu, devices: ['gpu'] }, 1024, fastF32.probe)).toEqual({
    products: 'native',
    reason: null,
  });
});

it('measures once for each processor, library and width, and keeps it', async () => {
  const { probe, asked } = probeOf({ native: 400e9, widened: 200e9 });
  const choose = (width: number, changes: Partial<ProductsProbe> = {}, version = cpu.version) =>
    chooseProducts({ ...cpu, version }, width, { ...probe, ...changes });
  await choose(1024);
  await choose(1024);
  expect(asked).toEqual([1024]);
  await choose(64);
  await choose(128);
  await choose(4096);
  await choose(8192);
  expect(asked).toEqual([1024, 256]);
  await choose(1024, { processor: 'Xeon, 2 cores' });
  await choose(1024, {}, '2.22.0');
  expect(asked).toEqual([1024, 256, 1024, 1024]);
  // Kept ones decide: another process chooses alike, though it might measure otherwise.
  const other = probeOf({ native: 1, widened: 2 }, { folder: probe.folder });
  expect((await chooseProducts(cpu, 1024, other.probe)).products).toBe('native');
  expect(readdirSync(probe.folder!)).toEqual(['bf16-products.json']);
  for (const damage of ['{', '[]', '{"EPYC, 2 cores, TensorFlow 2.21.0, width 1024":{"native":-1}}']) {
    writeFileSync(join(probe.folder!, 'bf16-products.json'), damage);
    expect((await chooseProducts(cpu, 1024, other.probe)).products).toBe('widened');
  }
  expect(other.asked).toEqual([1024, 1024, 1024]);
});

it('does as a person asks, and takes the exact way where nothing can be measured or kept', async () => {
  const { probe, asked } = probeOf({ native: 1, widened: 2 }, { wanted: 'native' });
  expect(await chooseProducts(cpu, 1024, probe)).toEqual({
    products: 'native',
    reason: expect.stringContaining('ID_LORA_STUDIO_BF16_PRODUCTS'),
  });
  expect(asked).toEqual([]);
  expect(await chooseProducts(cpu, 1024, probeOf(new Error('no kernel')).probe)).toEqual({
    products: 'widened',
    reason: expect.stringMatching(/^Warning: .*no kernel/),
  });
  const file = join(temporaryFolder(), 'file');
  writeFileSync(file, '');
  for (const folder of [null, file])
    expect(
      (await chooseProducts(cpu, 1024, probeOf({ native: 2, widened: 1 }, { folder }).probe)).products,
    ).toBe('native');
});

it('times both ways', async () => {
  const speeds = await measureProducts(loadTensorflow().tf, 256);
  for (const speed of Object.values(speeds)) {
    // Operations a second: between a very busy core and any machine.
    expect(speed).toBeGreaterThan(1e7);
    expect(speed).toBeLessThan(1e15);
  }
});
