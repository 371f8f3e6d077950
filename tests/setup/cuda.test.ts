import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { cudaPackages, linkLibraries, missingLibraries } from '../../src-main/setup/tensorflow/cuda.mjs';
import { findGpu, installedWheel, whyUnused } from '../../src-main/setup/tensorflow/gpu.mjs';
import { runtimeFolder, versions } from '../../src-main/setup/paths.mjs';
import { projectFolder } from '../support/paths.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

/** A 64-bit ELF library that has nothing but what it needs and where that is looked for. */
function elf({ needed = [], path = '' }: { needed?: string[]; path?: string }): Buffer {
  const strings = ['', ...needed, path];
  const offsets = strings.map((_, i) => strings.slice(0, i).join('\0').length + (i > 0 ? 1 : 0));
  const text = Buffer.from(`${strings.join('\0')}\0`);
  const [dynamicAt, textAt] = [64 + 2 * 56, 64 + 2 * 56 + (needed.length + 3) * 16];
  const bytes = Buffer.concat([Buffer.alloc(textAt), text]);
  const write = (at: number, ...values: number[]) =>
    values.forEach((value, i) => bytes.writeBigUInt64LE(BigInt(value), at + 8 * i));
  bytes.write('\x7fELF\x02\x01\x01', 0, 'latin1');
  write(32, 64);
  bytes.writeUInt16LE(56, 54);
  bytes.writeUInt16LE(2, 56);
  // Of each segment: kind, offset, address, address, size. Addresses are not offsets, as in a real library.
  const base = 0x10000;
  write(64, 1, 0, base, base, bytes.length);
  write(64 + 56, 2, dynamicAt, base + dynamicAt, base + dynamicAt, textAt - dynamicAt);
  const entries = [
    ...needed.map((_, i) => [1, offsets[i + 1]!]),
    [5, base + textAt],
    ...(path ? [[29, offsets.at(-1)!]] : []),
    [0, 0],
  ];
  entries.forEach((entry, i) => write(dynamicAt + 16 * i, ...entry));
  return bytes;
}

/** Where the packages of CUDA put what TensorFlow opens. */
const places = {
  'libcudart.so.12': 'cuda_runtime',
  'libcublas.so.12': 'cublas',
  'libcublasLt.so.12': 'cublas',
  'libcudnn.so.9': 'cudnn',
  'libcufft.so.11': 'cufft',
  'libcusolver.so.11': 'cusolver',
  'libcusparse.so.12': 'cusparse',
  'libnvJitLink.so.12': 'nvjitlink',
};

/** The wheel with its packages as pip lays them out: the framework looks into all folders but that of cuSOLVER. */
function unpackedWheel(): string {
  const library = temporaryFolder();
  const write = (file: string, content: Buffer) => {
    mkdirSync(dirname(join(library, file)), { recursive: true });
    writeFileSync(join(library, file), content);
  };
  const searched = ['nccl', 'cublas', 'cudnn', 'cufft', 'cusparse', 'cuda_runtime'];
  const path = searched.map((name) => `$ORIGIN/../nvidia/${name}/lib`).join(':');
  write('tensorflow/libtensorflow_framework.so.2', elf({ needed: ['libc.so.6'], path }));
  for (const [name, folder] of Object.entries(places)) write(`nvidia/${folder}/lib/${name}`, elf({}));
  const solver = { needed: ['libnvJitLink.so.12', 'libm.so.6'], path: '$ORIGIN/../../nvjitlink/lib:$ORIGIN' };
  write('nvidia/cusolver/lib/libcusolver.so.11', elf(solver));
  return library;
}

describe('libraries that TensorFlow opens', () => {
  it('are found once they are linked to where it looks', () => {
    const library = unpackedWheel();
    expect(missingLibraries(library)).toEqual(['libcusolver.so.11']);
    linkLibraries(library);
    expect(missingLibraries(library)).toEqual([]);
    const link = join(library, 'nvidia/cublas/lib/libcusolver.so.11');
    // Relative: what is unpacked is moved to its place afterwards.
    expect(lstatSync(link).isSymbolicLink() && readlinkSync(link)).toBe(
      '../../cusolver/lib/libcusolver.so.11',
    );
    linkLibraries(library);
    expect(missingLibraries(library)).toEqual([]);
  });

  it('are named where a package is missing, those that others need among them', () => {
    const library = unpackedWheel();
    linkLibraries(library);
    rmSync(join(library, 'nvidia/nvjitlink'), { recursive: true });
    rmSync(join(library, 'nvidia/cusolver'), { recursive: true });
    linkLibraries(library);
    expect(missingLibraries(library)).toEqual(['libcusolver.so.11']);
    mkdirSync(join(library, 'nvidia/cusolver/lib'), { recursive: true });
    const solver = { needed: ['libnvJitLink.so.12'], path: '$ORIGIN/../../nvjitlink/lib' };
    writeFileSync(join(library, 'nvidia/cusolver/lib/libcusolver.so.11'), elf(solver));
    expect(missingLibraries(library)).toEqual(['libnvJitLink.so.12']);
  });

  const wheel = join(runtimeFolder, `tensorflow-gpu-${versions.tensorflow}`);
  const isThere = existsSync(wheel);
  it.skipIf(!isThere)(
    `resolve in the GPU wheel of this machine${isThere ? '' : ' (skipped: it has none)'}`,
    () => {
      expect(missingLibraries(wheel)).toEqual([]);
    },
  );

  it('come in packages of one version each', () => {
    for (const requirement of cudaPackages) expect(requirement).toMatch(/^nvidia-[a-z0-9-]+-cu12==[\d.]+$/);
  });
});

/** Puts an nvidia-smi first on the PATH that lists these cards. */
function nvidiaSmi(...cards: string[]): void {
  const folder = temporaryFolder();
  const script = `#!/bin/sh\ncat <<'END'\n${cards.join('\n')}\nEND\n`;
  writeFileSync(join(folder, 'nvidia-smi'), script, { mode: 0o755 });
  vi.stubEnv('PATH', `${folder}${delimiter}${process.env['PATH']}`);
}
beforeEach(() => vi.stubEnv('CUDA_VISIBLE_DEVICES', undefined));
afterEach(() => {
  vi.unstubAllEnvs();
});

describe.skipIf(installedWheel() === null)('the repair', () => {
  const packageFolder = 'node_modules/@tensorflow/tfjs-node-gpu';
  const binding = `${packageFolder}/lib/napi-v8/tfjs_binding.node`;

  it('makes a GPU wheel find what it does not, and fetches nothing for that', () => {
    const checkout = temporaryFolder();
    const runtime = temporaryFolder();
    cpSync(join(projectFolder, 'src-main/setup'), join(checkout, 'src-main/setup'), { recursive: true });
    mkdirSync(dirname(join(checkout, binding)), { recursive: true });
    const description = join(packageFolder, 'package.json');
    cpSync(join(projectFolder, description), join(checkout, description));
    const { version } = JSON.parse(readFileSync(join(checkout, description), 'utf8')) as { version: string };
    const library = join(runtime, `tensorflow-gpu-${versions.tensorflow}`);
    renameSync(unpackedWheel(), library);
    // One that loads, whatever it is for.
    const compiled = `tfjs-binding-${version}-gpu-${versions.tensorflow}-b${versions.bindings}`;
    mkdirSync(join(runtime, compiled));
    copyFileSync(join(projectFolder, binding), join(runtime, compiled, 'tfjs_binding.node'));
    symlinkSync(join(runtime, compiled, 'tfjs_binding.node'), join(checkout, binding));
    nvidiaSmi('NVIDIA GeForce RTX 4090, 8.9, 570.124.06');
    const { status, stderr } = spawnSync(
      process.execPath,
      [join(checkout, 'src-main/setup/tensorflow/repair.mjs')],
      {
        env: {
          ...process.env,
          ID_LORA_STUDIO_RUNTIME: runtime,
          PIP_NO_INDEX: '1',
          // The binding looks for its library beside itself, where the pretended wheel has none.
          LD_LIBRARY_PATH: join(installedWheel()!.library, 'tensorflow'),
        },
        encoding: 'utf8',
      },
    );
    expect(stderr).not.toMatch(/downloading|installing/);
    expect(status).toBe(0);
    expect(missingLibraries(library)).toEqual([]);
  });
});

describe('the card', () => {
  it.each([
    [
      'NVIDIA GeForce RTX 4090, 8.9, 525.60.13',
      true,
      /RTX 4090 \(compute capability 8\.9, driver 525\.60\.13\)$/,
    ],
    ['NVIDIA GeForce RTX 4090, 8.9, 470.256.02', false, /needs driver 525\.60 or newer/],
    ['NVIDIA H100, 9.0, 550.54.15', false, /needs driver 555\.42 or newer/],
    ['NVIDIA GeForce RTX 5090, 12.0, 575.51', true, /RTX 5090/],
    ['NVIDIA GeForce RTX 5090, 12.0, 565.57.01', false, /needs driver 570\.26 or newer/],
    ['Tesla K80, 3.7, 470.256.02', false, /too old/],
    ['NVIDIA Z1, 15.0, 900.1', false, /newer than the TensorFlow wheels/],
  ])('%s: usable %s', async (line, usable, reason) => {
    nvidiaSmi(line);
    const gpu = await findGpu();
    expect(gpu).toMatchObject({ usable, reason: expect.stringMatching(reason) as string });
    expect(gpu.remedy === null).toBe(!gpu.reason.includes('needs driver'));
  });

  it('is the first that TensorFlow can use', async () => {
    nvidiaSmi('Tesla K80, 3.7, 570.1', 'NVIDIA GeForce RTX 3060, 8.6, 570.1');
    expect((await findGpu()).name).toBe('NVIDIA GeForce RTX 3060');
  });

  const everything = async () => true;
  const gpu = (library = unpackedWheel()) => {
    linkLibraries(library);
    return { kind: 'gpu' as const, library };
  };

  it('is not used by a TensorFlow for the CPU: the repair fetches the other', async () => {
    const found = await whyUnused({ kind: 'cpu', library: '' }, []);
    expect(found).toMatchObject({ reason: 'TensorFlow here is for the CPU' });
    expect(found.repairable).toBe(process.platform === 'linux' && process.arch === 'x64');
  });

  it('is not used where CUDA libraries are not found: the repair puts them right', async () => {
    const library = unpackedWheel();
    const found = await whyUnused({ kind: 'gpu', library }, [], everything);
    expect(found).toMatchObject({
      repairable: true,
      reason: expect.stringContaining('libcusolver.so.11') as string,
    });
  });

  it.each([
    ['libnvidia-ml.so.1', /management library.*cannot be opened/, /NVIDIA_DRIVER_CAPABILITIES/],
    ['libcuda.so.1', /libcuda\.so\.1.*cannot be opened/, /--gpus all/],
  ])('is not used without %s of the driver, which no repair brings', async (missing, reason, remedy) => {
    const found = await whyUnused(gpu(), [], async (name) => name !== missing);
    expect(found.repairable).toBe(false);
    expect(found.reason).toMatch(reason);
    expect(found.remedy).toMatch(remedy);
  });

  it('is not used where the driver does not start, or for what TensorFlow says', async () => {
    const cuInit =
      'E0000 00:00:1795942565.699812   10325 cuda_platform.cc:52] failed call to cuInit: INTERNAL: CUDA error: Failed call to cuInit: UNKNOWN ERROR (303)';
    const refused = await whyUnused(gpu(), ['a line before', cuInit], everything);
    expect(refused.reason).toBe(
      'the driver does not start CUDA (failed call to cuInit: INTERNAL: CUDA error: Failed call to cuInit: UNKNOWN ERROR (303))',
    );
    const other = await whyUnused(
      gpu(),
      ['W0000 00:00:1795942565.6 1 gpu_device.cc:2365] Ignoring it'],
      everything,
    );
    expect(other.reason).toBe('TensorFlow finds no device: Ignoring it');
    expect((await whyUnused(gpu(), [], everything)).reason).toMatch(/does not say why/);
  });

  it('is not used where the environment hides it', async () => {
    vi.stubEnv('CUDA_VISIBLE_DEVICES', '-1');
    expect((await whyUnused(gpu(), [], everything)).reason).toBe(
      'CUDA_VISIBLE_DEVICES is "-1", which hides it',
    );
    vi.stubEnv('CUDA_VISIBLE_DEVICES', '0');
    expect((await whyUnused(gpu(), [], everything)).reason).toMatch(/does not say why/);
  });
});
