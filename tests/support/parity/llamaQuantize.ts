import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { GgufFile } from '../../../src-main/formats/gguf/ggufFile.ts';
import { pythonProgram } from '../../../src-main/services/exports/otherSoftware.ts';
import { projectFolder } from '../paths.ts';
import { hasLlamaCpp } from './llamaCpp.ts';

/** How a file stores its tensors: of each type how many, with a hash of names, types, shapes and all bytes. */
export interface StoredTensors {
  types: Record<string, number>;
  sha256: string;
}

const generator = join(projectFolder, 'tests', 'parity', 'generator', 'llama_quantize.py');

export function storedTensors(path: string): StoredTensors {
  const file = new GgufFile(path, 'internal');
  try {
    const types: Record<string, number> = {};
    const hash = createHash('sha256');
    for (const name of [...file.tensors.keys()].sort()) {
      const { type, shape, byteLength } = file.tensors.get(name)!;
      types[type] = (types[type] ?? 0) + 1;
      hash.update(`${name} ${type} ${shape.join()}\n`).update(file.readRange(name, 0, byteLength));
    }
    return { types, sha256: hash.digest('hex') };
  } finally {
    file.close();
  }
}

/**
 * What `llama-quantize` makes of a file in F32, as Q4_K_M: recorded, or found anew where llama.cpp is there. With
 * ID_LORA_PARITY_RECORD it is written to the checkout.
 */
export function llamaQuantized(name: string, source: string): StoredTensors {
  const place = join(projectFolder, 'tests', 'parity', 'recorded', 'llamaCpp-q4km.json');
  const recorded = (existsSync(place) ? JSON.parse(readFileSync(place, 'utf8')) : {}) as Record<
    string,
    StoredTensors
  >;
  if (!hasLlamaCpp) return recorded[name]!;
  const out = `${source}.theirs`;
  execFileSync(pythonProgram(), [generator, 'file', source, out], { stdio: 'pipe' });
  const found = storedTensors(out);
  if (process.env['ID_LORA_PARITY_RECORD'])
    writeFileSync(place, `${JSON.stringify({ ...recorded, [name]: found }, null, 1)}\n`);
  return found;
}
