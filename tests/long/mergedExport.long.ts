import { spawn } from 'node:child_process';
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { adapterConfigSchema } from '../../src-main/contract/training.ts';
import { writeAdapterFolder } from '../../src-main/formats/adapter/peftAdapter.ts';
import { readDecoderConfig } from '../../src-main/formats/families/huggingFaceConfig.ts';
import { expectedWeights } from '../../src-main/formats/model/decoderWeights.ts';
import { writeModelFolder } from '../../src-main/formats/model/modelFolder.ts';
import { adapterSites, modulePath } from '../../src-main/shape/adapterSites.ts';
import { moduleSize } from '../../src-main/shape/modelShape.ts';
import { projectFolder } from '../support/paths.ts';
import { patchedFolder } from '../support/patchedFolder.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

/** A Llama of 1.03 thousand million parameters, 2.06 GB in bf16. */
const sizes = {
  hidden_size: 2048,
  intermediate_size: 5632,
  num_hidden_layers: 20,
  num_attention_heads: 16,
  num_key_value_heads: 8,
  head_dim: 128,
  vocab_size: 32_000,
  tie_word_embeddings: true,
};
const megabyte = 1024 * 1024;

/** Bytes of bf16 noise, of no use but to be merged; the same block again and again. */
function* noise(bytes: number): Generator<Uint8Array> {
  const block = Uint16Array.from({ length: 4 * megabyte }, (_, i) => 0x3c00 + ((i * 2654435761) >>> 23));
  const view = new Uint8Array(block.buffer);
  for (let left = bytes; left > 0; left -= view.length) yield view.subarray(0, Math.min(left, view.length));
}

it('merges a model of 2 GB in less than 400 MB of memory', { timeout: 1_800_000 }, async () => {
  const folder = temporaryFolder();
  const described = patchedFolder('tiny-llama', { 'config.json': sizes });
  const base = join(folder, 'base');
  const decoder = readDecoderConfig(described);
  const tensors = [...expectedWeights(decoder)].map(([name, shape]) => {
    const bytes = shape.reduce((product, size) => product * size, 2);
    return { name, dtype: 'BF16' as const, shape, data: () => noise(bytes) };
  });
  writeModelFolder(base, { base: described, tensors, dtype: 'BF16', card: null });
  const adapter = adapterConfigSchema.parse({ method: 'lora', rank: 16, alpha: 32 });
  const checkpoint = join(folder, '00000001');
  mkdirSync(checkpoint);
  const matrix = (rows: number, columns: number) => ({
    shape: [rows, columns],
    data: () => new Uint8Array(Float32Array.from({ length: rows * columns }, (_, i) => (i % 7) / 700).buffer),
  });
  writeAdapterFolder(
    join(checkpoint, 'adapter'),
    adapter,
    { name: base, sha256: '', quantization: 'none' },
    adapterSites(decoder, adapter).flatMap(({ site }) => {
      const { dIn, dOut } = moduleSize(decoder, site.module);
      const path = modulePath(site);
      return [
        { name: `${path}.lora_A.weight`, dtype: 'F32' as const, ...matrix(16, dIn) },
        { name: `${path}.lora_B.weight`, dtype: 'F32' as const, ...matrix(dOut, 16) },
      ];
    }),
  );
  const request = {
    kind: 'export',
    format: 'merged',
    modelFolder: base,
    baseName: 'organization/base',
    checkpoint,
    adapter,
    quantization: 'none',
    outFolder: join(folder, 'merged'),
  };
  // A process of its own, as the studio starts one: what it takes is that of the export alone.
  const script = join(folder, 'export.ts');
  writeFileSync(
    script,
    `import { exportFolder } from ${JSON.stringify(join(projectFolder, 'src-main/engine/process/exportFolders.ts'))};
     const [began, used] = [performance.now(), process.cpuUsage()];
     const { merged } = exportFolder(${JSON.stringify(request)});
     const seconds = (performance.now() - began) / 1000;
     const { user, system } = process.cpuUsage(used);
     const bytes = process.resourceUsage().maxRSS * 1024;
     console.log(JSON.stringify({ seconds, processor: (user + system) / 1e6, bytes, isEqual: merged.isEqual }));`,
  );
  const output = await new Promise<string>((resolve, reject) => {
    const child = spawn(process.execPath, [script], { stdio: ['ignore', 'pipe', 'inherit'] });
    let text = '';
    child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
    child.on('error', reject);
    child.on('close', () => resolve(text));
  });
  const measured = JSON.parse(output) as {
    seconds: number;
    processor: number;
    bytes: number;
    isEqual: boolean;
  };
  const file = join(folder, 'merged', 'model.safetensors');
  const written = statSync(file).size;
  const copied = copyThrough(file, join(folder, 'copy'));
  console.log(
    `${(written / 1e9).toFixed(2)} GB in ${measured.seconds.toFixed(1)} s (${(written / 1e6 / measured.seconds).toFixed(0)} MB/s; ${measured.processor.toFixed(1)} s of a processor), greatest memory ${(measured.bytes / megabyte).toFixed(0)} MB; a copy takes ${copied.seconds.toFixed(1)} s (${copied.processor.toFixed(1)} s of a processor)`,
  );
  expect(written).toBeGreaterThan(2e9);
  expect(measured.isEqual).toBe(true);
  expect(measured.bytes).toBeLessThan(400 * megabyte);
});

/** A copy in the same blocks, on the disk when it ends: what no export is faster than. */
function copyThrough(from: string, to: string): { seconds: number; processor: number } {
  const [began, used] = [performance.now(), process.cpuUsage()];
  const [source, target] = [openSync(from, 'r'), openSync(to, 'w')];
  const block = new Uint8Array(8 * megabyte);
  for (let length; (length = readSync(source, block)) > 0;) writeSync(target, block, 0, length);
  fsyncSync(target);
  for (const fd of [source, target]) closeSync(fd);
  const { user, system } = process.cpuUsage(used);
  return { seconds: (performance.now() - began) / 1000, processor: (user + system) / 1e6 };
}
