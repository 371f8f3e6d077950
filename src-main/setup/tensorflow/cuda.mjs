import { closeSync, existsSync, openSync, readdirSync, readSync, rmSync, symlinkSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';

/**
 * The CUDA packages beside the GPU wheel, as they were together on the day that they were tried. TensorFlow's metadata
 * name more: NCCL, cuRAND and CUPTI (0.7 GB) serve several cards, other operations and the profiler.
 */
export const cudaPackages = [
  'nvidia-cublas-cu12==12.9.3.13',
  'nvidia-cuda-nvcc-cu12==12.9.86',
  'nvidia-cuda-nvrtc-cu12==12.9.86',
  'nvidia-cuda-runtime-cu12==12.9.79',
  'nvidia-cudnn-cu12==9.28.0.42',
  'nvidia-cufft-cu12==11.4.1.4',
  'nvidia-cusolver-cu12==11.7.5.82',
  'nvidia-cusparse-cu12==12.5.10.65',
  'nvidia-nvjitlink-cu12==12.9.86',
];

/** What TensorFlow's framework opens before it takes a GPU. Where one is missing it takes none and says not which. */
const openedLibraries = [
  'libcudart.so.12',
  'libcublas.so.12',
  'libcublasLt.so.12',
  'libcudnn.so.9',
  'libcufft.so.11',
  'libcusolver.so.11',
  'libcusparse.so.12',
];

/** NVIDIA's own, but for those that come with the driver: others are every Linux's. */
const isPackaged = (name) => /^lib(cu|nv)/.test(name) && !/^lib(cuda|nvidia-ml)\.so/.test(name);

const frameworkOf = (library) => join(library, 'tensorflow', 'libtensorflow_framework.so.2');

/**
 * The libraries that TensorFlow would not find when it looks for GPUs, those that they need themselves included.
 * @param {string} library folder of the unpacked wheel, with tensorflow/ and nvidia/
 * @returns {string[]}
 */
export function missingLibraries(library) {
  const missing = new Set();
  const seen = new Set();
  const find = (name, path) => {
    const found = path.map((folder) => join(folder, name)).find(existsSync);
    if (!found) missing.add(name);
    if (!found || seen.has(found)) return;
    seen.add(found);
    const { needed, path: own } = linking(found);
    for (const other of needed.filter(isPackaged)) find(other, own);
  };
  const { path } = linking(frameworkOf(library));
  for (const name of openedLibraries) find(name, path);
  return [...missing];
}

/**
 * Makes TensorFlow find what is there. The wheel's framework does not look into nvidia/cusolver/lib (2.21; its other
 * library does, and Python loads that one first), so a link goes to where it looks.
 * @param {string} library folder of the unpacked wheel
 */
export function linkLibraries(library) {
  const packages = join(library, 'nvidia');
  const { path } = linking(frameworkOf(library));
  const target = path.find((folder) => folder.startsWith(packages) && existsSync(folder));
  if (!target) return;
  const folders = readdirSync(packages).map((name) => join(packages, name, 'lib'));
  for (const name of openedLibraries.filter(
    (file) => !path.some((folder) => existsSync(join(folder, file))),
  )) {
    const there = folders.map((folder) => join(folder, name)).find(existsSync);
    if (!there) continue;
    rmSync(join(target, name), { force: true });
    symlinkSync(relative(target, there), join(target, name));
  }
}

/** Tags of an ELF file's dynamic section, and kinds of its segments (System V ABI). */
const tags = { end: 0, needed: 1, stringTable: 5, rpath: 15, runpath: 29 };
const segments = { load: 1, dynamic: 2 };

/**
 * What a 64-bit ELF library needs, and the folders in which it and what it opens are looked for, before the system's.
 * Of a file of a gigabyte some pages are read.
 * @param {string} file
 * @returns {{needed: string[], path: string[]}}
 */
function linking(file) {
  const open = openSync(file, 'r');
  const read = (at, length) => {
    const bytes = Buffer.alloc(length);
    return bytes.subarray(0, readSync(open, bytes, 0, length, at));
  };
  try {
    const header = read(0, 64);
    const entrySize = header.readUInt16LE(54);
    const count = header.readUInt16LE(56);
    const table = read(Number(header.readBigUInt64LE(32)), count * entrySize);
    const parts = Array.from({ length: count }, (_, i) => {
      const entry = table.subarray(i * entrySize);
      const [offset, address, , size] = [8, 16, 24, 32].map((at) => Number(entry.readBigUInt64LE(at)));
      return { kind: entry.readUInt32LE(0), offset, address, size };
    });
    const dynamic = parts.find(({ kind }) => kind === segments.dynamic);
    if (!dynamic) return { needed: [], path: [] };
    const section = read(dynamic.offset, dynamic.size);
    const entries = [];
    for (let at = 0; at + 16 <= section.length; at += 16) {
      const tag = Number(section.readBigInt64LE(at));
      if (tag === tags.end) break;
      entries.push({ tag, value: Number(section.readBigUInt64LE(at + 8)) });
    }
    const valuesOf = (wanted) => entries.filter(({ tag }) => tag === wanted).map(({ value }) => value);
    const [strings] = valuesOf(tags.stringTable);
    const home = parts.find(
      ({ kind, address, size }) => kind === segments.load && strings >= address && strings < address + size,
    );
    const text = (offset) => {
      let found = Buffer.alloc(0);
      while (!found.includes(0)) {
        const more = read(strings - home.address + home.offset + offset + found.length, 4096);
        if (more.length === 0) break;
        found = Buffer.concat([found, more]);
      }
      return found.subarray(0, Math.max(0, found.indexOf(0))).toString();
    };
    const folders = [tags.rpath, tags.runpath].flatMap(valuesOf).flatMap((at) => text(at).split(':'));
    return {
      needed: valuesOf(tags.needed).map(text),
      path: [...new Set(folders.map((folder) => resolve(folder.replace('$ORIGIN', dirname(file)))))],
    };
  } finally {
    closeSync(open);
  }
}
