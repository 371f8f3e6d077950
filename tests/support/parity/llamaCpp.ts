import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { GgufType } from '../../../src-main/contract/results.ts';
import { adapterConfigSchema } from '../../../src-main/contract/training.ts';
import { exportFolder } from '../../../src-main/engine/process/exportFolders.ts';
import type { ExportRequest } from '../../../src-main/engine/protocol.ts';
import { openAdapterFolder, writeAdapterFolder } from '../../../src-main/formats/adapter/peftAdapter.ts';
import { readDecoderConfig } from '../../../src-main/formats/families/huggingFaceConfig.ts';
import { floatRows, writeGgufModel } from '../../../src-main/formats/gguf/modelFile.ts';
import { expectedWeights } from '../../../src-main/formats/model/decoderWeights.ts';
import { WeightFolder } from '../../../src-main/formats/model/weightFolder.ts';
import { adapterSites, modulePath } from '../../../src-main/shape/adapterSites.ts';
import { moduleSize } from '../../../src-main/shape/modelShape.ts';
import { createRandom } from '../../../src-main/statistics/random.ts';
import { projectFolder } from '../paths.ts';

/** What llama.cpp is asked (tests/parity/generator/llamaCpp.mjs). */
export interface LlamaCppJob {
  model: string;
  lora?: string | undefined;
  prompts: number[][];
  texts?: string[];
  maxTokens?: number;
}

export interface LlamaCppResult {
  tokens: number[][];
  /** Of each prompt: [positions][vocabulary]. */
  logProbabilities: number[][][];
  answers: number[][];
}

interface Recording {
  software: string;
  /** SHA-256 of the files that it was given, in the order of the jobs: what it found holds for these alone. */
  files: { model: string; lora: string | null }[];
  results: LlamaCppResult[];
}

const generator = join(projectFolder, 'tests', 'parity', 'generator', 'llamaCpp.mjs');
/** A folder with node-llama-cpp: llama.cpp then runs anew. */
export const hasLlamaCpp = process.env['ID_LORA_LLAMA_CPP'] !== undefined;

/**
 * What llama.cpp found: recorded, and true as long as the files are the same byte for byte; or, where it is there,
 * found anew. With ID_LORA_PARITY_RECORD it is written to the checkout.
 * @param name of the recording
 */
export function askLlamaCpp(name: string, jobs: readonly LlamaCppJob[], folder: string): LlamaCppResult[] {
  const place = join(projectFolder, 'tests', 'parity', 'recorded', `${name}.json`);
  const hashOf = (path: string) => createHash('sha256').update(readFileSync(path)).digest('hex');
  const files = jobs.map(({ model, lora }) => ({
    model: hashOf(model),
    lora: lora === undefined ? null : hashOf(lora),
  }));
  if (hasLlamaCpp) {
    const [question, out] = [join(folder, 'jobs.json'), join(folder, 'found.json')];
    writeFileSync(question, JSON.stringify(jobs));
    execFileSync(process.execPath, [generator, question, out], { stdio: 'pipe' });
    const found = JSON.parse(readFileSync(out, 'utf8')) as Omit<Recording, 'files'>;
    if (process.env['ID_LORA_PARITY_RECORD']) writeFileSync(place, written({ ...found, files }));
    return found.results;
  }
  const recorded = JSON.parse(readFileSync(place, 'utf8')) as Recording;
  jobs.forEach((_, i) => {
    if (JSON.stringify(recorded.files[i]) !== JSON.stringify(files[i]))
      throw new Error(
        `The files of job ${i} of ${name} are no longer those that ${recorded.software} was given: record anew with ID_LORA_LLAMA_CPP and ID_LORA_PARITY_RECORD.`,
      );
  });
  return recorded.results;
}

/** A result a line, numbers to seven digits. */
function written({ software, files, results }: Recording): string {
  const line = (value: unknown) =>
    JSON.stringify(value, (_, entry: unknown) =>
      typeof entry === 'number' && !Number.isInteger(entry) ? Number(entry.toPrecision(7)) : entry,
    );
  return `{"software":${line(software)},"files":${line(files)},"results":[\n${results.map(line).join(',\n')}\n]}\n`;
}

/** Writes a model folder as it is. */
export function writeBase(folder: string, path: string, type: GgufType = 'F32'): void {
  const config = readDecoderConfig(folder);
  const source = new WeightFolder(folder);
  const weights = [...expectedWeights(config).keys()].map((name) => {
    const info = source.info(name)!;
    return {
      name,
      shape: info.shape,
      rows: floatRows((begin, end) => source.readRange(name, begin, end), info),
    };
  });
  const general = [{ key: 'general.name', type: 'string', value: 'base' } as const];
  const written = () => undefined;
  writeGgufModel(path, { config, folder, weights, type, chatTemplate: null, general, written });
  source.close();
}

/**
 * Exports an adapter of a model folder.
 * @param checkpoint a folder with `adapter/` in it
 */
export function exportGguf(
  format: 'gguf-lora' | 'gguf',
  { modelFolder, checkpoint, work }: { modelFolder: string; checkpoint: string; work: string },
): string {
  const opened = openAdapterFolder(join(checkpoint, 'adapter'));
  opened.tensors.close();
  const request: ExportRequest = {
    kind: 'export',
    format,
    modelFolder,
    baseName: 'organization/base',
    checkpoint,
    adapter: opened.config,
    quantization: 'none',
    outFolder: join(work, format),
    readBack: join(work, `${format}-read`),
    storedAs: 'F32',
    title: { name: 'adapter', licence: null },
  };
  exportFolder(request);
  return join(work, format, format === 'gguf' ? 'model.gguf' : 'adapter.gguf');
}

/** A LoRA with drawn numbers, the same every time, large enough to change answers. @returns a checkpoint's folder */
export function drawnAdapter(modelFolder: string, work: string, size: number): string {
  const config = readDecoderConfig(modelFolder);
  const random = createRandom(7);
  const adapter = adapterConfigSchema.parse({
    method: 'lora',
    rank: 4,
    alpha: 8,
    rankStabilized: true,
    targets: ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'],
    rankPattern: { down_proj: 2 },
  });
  const drawn = (count: number, scale: number) =>
    Float32Array.from({ length: count }, () => (2 * random.next() - 1) * scale);
  const tensors = adapterSites(config, adapter).flatMap(({ site, adapter: { rank } }) => {
    const { dIn, dOut } = moduleSize(config, site.module);
    return [
      { suffix: 'lora_A', shape: [rank, dIn], values: drawn(rank * dIn, 1 / Math.sqrt(dIn)) },
      { suffix: 'lora_B', shape: [dOut, rank], values: drawn(dOut * rank, size) },
    ].map(({ suffix, shape, values }) => ({
      name: `${modulePath(site)}.${suffix}.weight`,
      dtype: 'F32' as const,
      shape,
      data: new Uint8Array(values.buffer),
    }));
  });
  const checkpoint = join(work, 'checkpoint');
  const folder = join(checkpoint, 'adapter');
  if (!existsSync(folder))
    writeAdapterFolder(folder, adapter, { name: 'base', sha256: '', quantization: 'none' }, tensors);
  return checkpoint;
}
