import { StudioError } from '../../contract/errors.ts';
import { adapterConfigSchema, type TargetModule } from '../../contract/training.ts';
import type { LowRank } from '../../methods/method.ts';
import { modulePath, type LinearSite } from '../../shape/adapterSites.ts';
import { linearModules, moduleSize } from '../../shape/modelShape.ts';
import { writeAdapterFolder, type AdapterTensor } from '../adapter/peftAdapter.ts';
import type { DecoderConfig } from '../families/decoderConfig.ts';
import { ggufArchitecture } from './architecture.ts';
import { dequantized } from './blocks.ts';
import { GgufFile } from './ggufFile.ts';
import { refuseUnstorable } from './storable.ts';
import { reordered, tensorPlace } from './tensorPlaces.ts';
import { writeGguf, type GgufEntry, type GgufTensorToWrite } from './writeGguf.ts';

/** One module of an adapter that is a LoRA: what it adds is `scale` B A. */
export interface LowRankSite {
  site: LinearSite;
  rank: number;
  scale: number;
  /** Asked for when the tensors are written. */
  read(): LowRank;
}

export interface AdapterToWrite {
  config: DecoderConfig;
  sites: readonly LowRankSite[];
  /** Keys under `general.` that say what it is. */
  general: readonly GgufEntry[];
}

/** @throws StudioError config_invalid where a number is none */
function storedOf(name: string, values: Float32Array): Uint8Array {
  const bytes = bytesOf(values);
  refuseUnstorable(name, { values, bytes, type: 'F32' });
  return bytes;
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array) =>
  new Uint8Array(buffer, byteOffset, byteLength);

/**
 * Writes a LoRA as llama.cpp reads it (the layout of its convert_lora_to_gguf.py), without a GGUF of the base. There
 * is one alpha, and every module is scaled by alpha over its own rank: where modules want something else, as with
 * patterns of alpha and rank-stabilized ranks that differ, the rest lies in B.
 * @throws StudioError config_invalid for numbers that are none
 */
export function writeGgufAdapter(path: string, { config, sites, general }: AdapterToWrite): void {
  const { name: architecture } = ggufArchitecture(config);
  const alpha = Math.fround(sites[0]!.scale * sites[0]!.rank);
  // Both tensors of a module come from one reading, one after the other.
  let last: { of: LowRankSite; low: LowRank } | null = null;
  const lowRankOf = (of: LowRankSite): LowRank => {
    if (last?.of !== of) last = { of, low: of.read() };
    return last.low;
  };
  const tensors = sites.flatMap((own): GgufTensorToWrite[] => {
    const { dIn, dOut } = moduleSize(config, own.site.module);
    const place = tensorPlace(config, `${modulePath(own.site)}.weight`);
    // llama.cpp multiplies by alpha / rank; exactly 1 for every module where they agree.
    const rest = (own.scale * own.rank) / alpha;
    const factor = Math.abs(rest - 1) < 1e-6 ? 1 : rest;
    return [
      {
        name: `${place.name}.lora_a`,
        type: 'F32',
        shape: [own.rank, dIn],
        data: () => [storedOf(`${modulePath(own.site)}.lora_A`, lowRankOf(own).down)],
      },
      {
        name: `${place.name}.lora_b`,
        type: 'F32',
        shape: [dOut, own.rank],
        data() {
          const { up } = lowRankOf(own);
          const scaled = factor === 1 ? up : up.map((value) => factor * value);
          const { headDim } = place;
          const rows = { headDim: headDim ?? 1, rowLength: own.rank, direction: 'toFile' } as const;
          const values = headDim === null ? scaled : reordered(scaled, rows);
          return [storedOf(`${modulePath(own.site)}.lora_B`, values)];
        },
      },
    ];
  });
  const entries: GgufEntry[] = [
    { key: 'general.architecture', type: 'string', value: architecture },
    { key: 'general.type', type: 'string', value: 'adapter' },
    ...general,
    { key: 'adapter.type', type: 'string', value: 'lora' },
    { key: 'adapter.lora.alpha', type: 'f32', value: alpha },
    { key: 'general.quantization_version', type: 'u32', value: 2 },
  ];
  writeGguf(path, entries, tensors);
}

/**
 * Writes what llama.cpp adds to a base as a folder for PEFT: for comparing it with what was meant.
 * @param folder must not exist
 * @throws StudioError adapter_invalid: no adapter of this base, or damaged
 */
export function readGgufAdapter(path: string, config: DecoderConfig, folder: string): void {
  const file = new GgufFile(path, 'adapter_invalid');
  try {
    const invalid = (what: string) =>
      new StudioError(
        'adapter_invalid',
        `${path} ${what}.`,
        'Export the adapter once more, for the base model that it was trained on.',
      );
    const { name: architecture } = ggufArchitecture(config);
    const said = (key: string) => file.metadata.get(key);
    if (said('general.type') !== 'adapter' || said('adapter.type') !== 'lora') throw invalid('is no LoRA');
    if (said('general.architecture') !== architecture)
      throw invalid(`is for ${JSON.stringify(said('general.architecture'))}, not for ${architecture}`);
    const alpha = said('adapter.lora.alpha');
    if (typeof alpha !== 'number' || !(alpha > 0)) throw invalid('names no alpha');
    const tensors: AdapterTensor[] = [];
    const rankPattern: Record<string, number> = {};
    const targets = new Set<TargetModule>();
    for (let layer = 0; layer < config.layers; layer++)
      for (const module of linearModules(config)) {
        const own = modulePath({ layer, module });
        const { name, headDim } = tensorPlace(config, `${own}.weight`);
        const [a, b] = ['lora_a', 'lora_b'].map((kind) => file.tensors.get(`${name}.${kind}`));
        if (!a && !b) continue;
        const { dIn, dOut } = moduleSize(config, module);
        const rank = a?.shape[0] ?? 0;
        if (a?.shape.join() !== `${rank},${dIn}` || b?.shape.join() !== `${dOut},${rank}`)
          throw invalid(`has no A [r, ${dIn}] and B [${dOut}, r] for ${own}`);
        targets.add(module);
        rankPattern[own] = rank;
        const read = (info: typeof a) =>
          dequantized(file.readRange(info.name, 0, info.byteLength), info.type);
        const up = () => {
          const values = read(b);
          const rows = { headDim: headDim ?? 1, rowLength: rank, direction: 'fromFile' } as const;
          return bytesOf(headDim === null ? values : reordered(values, rows));
        };
        tensors.push(
          { name: `${own}.lora_A.weight`, dtype: 'F32', shape: a.shape, data: () => bytesOf(read(a)) },
          { name: `${own}.lora_B.weight`, dtype: 'F32', shape: b.shape, data: up },
        );
      }
    if (2 * Object.keys(rankPattern).length !== file.tensors.size)
      throw invalid('has tensors for modules that the base does not have');
    const paths = Object.keys(rankPattern);
    const ranks = new Set(Object.values(rankPattern));
    const rank = [...ranks].reduce((most, own) => Math.max(most, own), 0);
    const adapter = adapterConfigSchema.parse({
      method: 'lora',
      rank,
      alpha,
      targets: [...targets],
      paths,
      ...(ranks.size > 1 && { rankPattern }),
    });
    writeAdapterFolder(folder, adapter, { name: 'base', sha256: '', quantization: 'none' }, tensors);
  } finally {
    file.close();
  }
}
