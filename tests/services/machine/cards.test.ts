import { writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { cardNote, chosenCard } from '../../../src-main/engine/runtime/card.ts';
import { chooseProducts } from '../../../src-main/engine/runtime/products.ts';
import type { Runtime } from '../../../src-main/engine/runtime/loadTensorflow.ts';
import { cardWords, createCards, shownCard } from '../../../src-main/services/machine/cards.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';

const lines = [
  '0, GPU-aaaa-1, 24564, 500, NVIDIA GeForce RTX 4090, 8.9, 570.124.06',
  '1, GPU-bbbb-2, 12288, 10, NVIDIA TITAN X, 5.2, 570.124.06',
  '2, GPU-cccc-3, 32607, 20, NVIDIA GeForce RTX 5090, 12.0, 570.124.06',
];

beforeEach(() => {
  const folder = temporaryFolder();
  writeFileSync(join(folder, 'nvidia-smi'), `#!/bin/sh\ncat <<'END'\n${lines.join('\n')}\nEND\n`, {
    mode: 0o755,
  });
  vi.stubEnv('PATH', `${folder}${delimiter}${process.env['PATH']}`);
  vi.stubEnv('CUDA_VISIBLE_DEVICES', undefined);
});
afterEach(() => vi.unstubAllEnvs());

const forGpu = () => createCards(() => ({ kind: 'gpu', library: '/runtime/tensorflow' }));

it('lists the cards that TensorFlow can use, and knows them from then on', async () => {
  const cards = forGpu();
  expect(cards.known()).toEqual([]);
  const found = await cards.find();
  expect(found.map(({ id, name }) => [id, name])).toEqual([
    ['0', 'NVIDIA GeForce RTX 4090'],
    ['2', 'NVIDIA GeForce RTX 5090'],
  ]);
  expect(found[0]).toMatchObject({
    capability: '8.9',
    memoryBytes: 24564 * 2 ** 20,
    memoryUsedBytes: 500 * 2 ** 20,
    cudaFolder: '/runtime/tensorflow/nvidia/cuda_nvcc',
  });
  expect(cards.known()).toEqual(found);
});

it('gives out no card where TensorFlow is for the processor, and only those that the user shows', async () => {
  expect(await createCards(() => ({ kind: 'cpu', library: '/x' })).find()).toEqual([]);
  expect(await createCards(() => null).find()).toEqual([]);
  for (const [visible, ids] of [
    ['2', ['2']],
    ['GPU-aaaa', ['0']],
    ['', []],
  ] as const) {
    vi.stubEnv('CUDA_VISIBLE_DEVICES', visible);
    expect((await forGpu().find()).map(({ id }) => id)).toEqual(ids);
  }
});

it('says what runs where, and shows the card on which a run trains', async () => {
  const cards = forGpu();
  const found = await cards.find();
  const engine = {
    jobsOn: (id: string) => (id === '2' ? (['train', 'score'] as const).slice() : []),
    nextCard: () => '0',
  };
  expect(cardWords(found, engine)).toBe(
    '0: NVIDIA GeForce RTX 4090, 0.5 of 25.8 GB used, no job of this studio; 2: NVIDIA GeForce RTX 5090, 0.0 of 34.2 GB used, a run trains and an evaluation or export',
  );
  expect(shownCard(cards, engine)).toBe('2');
  expect(shownCard(cards, { ...engine, jobsOn: () => [] })).toBe('0');
});

it('multiplies bf16 as f32 on cards before Ampere, and says that new ones compile at first', async () => {
  const runtime = { devices: ['gpu'], version: '2.21.0' } as unknown as Runtime;
  for (const [card, products, note] of [
    ['NVIDIA TITAN V, 7.0', 'widened', null],
    ['NVIDIA A100, 8.0', 'native', null],
    ['NVIDIA GeForce RTX 5090, 12.0', 'native', /minutes/],
  ] as const) {
    vi.stubEnv('ID_LORA_STUDIO_CARD', card);
    expect((await chooseProducts(runtime, 512)).products).toBe(products);
    const said = cardNote(chosenCard()!);
    if (note) expect(said).toMatch(note);
    else expect(said).toBeNull();
  }
  vi.stubEnv('ID_LORA_STUDIO_CARD', undefined);
  expect((await chooseProducts(runtime, 512)).products).toBe('native');
});
