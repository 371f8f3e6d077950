import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { asFloat32 } from '../files/floats.ts';
import { SafetensorsFile } from '../files/safetensors.ts';

/**
 * What PEFT adds to the weights of a base when it loads an adapter folder, by PEFT's own rules and in plain
 * arithmetic. It vouches for exports, and so shares nothing with their writer and reader: no configuration schema, no
 * names of keys, no method.
 */
export interface PeftUpdate {
  /** Paths of the modules that PEFT adapts, of those that the file has tensors for. */
  paths: string[];
  /** Keys of the file that PEFT would leave unread. */
  unread: string[];
  /**
   * Rows of the update of a module [rows, dIn].
   * @param weight rows of the base weight; DoRA needs them
   */
  rows(path: string, rows: readonly number[], weight: (row: number) => ArrayLike<number>): Float64Array[];
  close(): void;
}

const prefix = 'base_model.model.';

/** Opens a folder that holds a LoRA or DoRA adapter in PEFT's layout. */
export function openPeftUpdate(folder: string): PeftUpdate {
  const config = JSON.parse(readFileSync(join(folder, 'adapter_config.json'), 'utf8')) as Record<
    string,
    unknown
  >;
  if (config['peft_type'] !== 'LORA')
    throw new Error(`PEFT's LoRA does not read ${String(config['peft_type'])}`);
  const file = new SafetensorsFile(join(folder, 'adapter_model.safetensors'), 'adapter_invalid');
  const has = (key: string) => file.tensors.has(key);
  const isDora = config['use_dora'] === true;
  const keysOf = (path: string) => ({
    a: `${prefix}${path}.lora_A.weight`,
    b: `${prefix}${path}.lora_B.weight`,
    ...(isDora && { magnitude: `${prefix}${path}.lora_magnitude_vector` }),
  });
  const candidates = [...file.tensors.keys()]
    .filter((key) => key.startsWith(prefix) && key.endsWith('.lora_A.weight'))
    .map((key) => key.slice(prefix.length, -'.lora_A.weight'.length));
  const paths = candidates.filter(
    (path) => isTargeted(config, path) && Object.values(keysOf(path)).every(has),
  );
  const read = new Set(paths.flatMap((path) => Object.values(keysOf(path))));
  const numbers = (key: string): [values: Float32Array, columns: number] => {
    const { dtype, shape } = file.tensors.get(key)!;
    return [asFloat32(file.read(key), dtype), shape.at(-1)!];
  };
  return {
    paths,
    unread: [...file.tensors.keys()].filter((key) => !read.has(key)),
    rows(path, rows, weight) {
      const keys = keysOf(path);
      const [a, dIn] = numbers(keys.a);
      const [b, rank] = numbers(keys.b);
      const magnitude = keys.magnitude === undefined ? null : numbers(keys.magnitude)[0];
      const scale = scaling(config, path);
      return rows.map((row) => {
        const update = new Float64Array(dIn);
        for (let k = 0; k < rank; k++) {
          const factor = scale * b[row * rank + k]!;
          for (let i = 0; i < dIn; i++) update[i]! += factor * a[k * dIn + i]!;
        }
        if (!magnitude) return update;
        // W' = m (W + D) / ||W + D||, and the update is W' - W.
        const base = Float64Array.from(weight(row));
        const sum = base.map((number, i) => number + update[i]!);
        const norm = Math.sqrt(sum.reduce((total, number) => total + number * number, 0));
        return sum.map((number, i) => (magnitude[row]! * number) / norm - base[i]!);
      });
    },
    close: () => file.close(),
  };
}

/** Factor of the update of a module: alpha / r, with rsLoRA alpha / sqrt(r), each by the first pattern that fits. */
function scaling(config: Record<string, unknown>, path: string): number {
  const rank = patterned(config['rank_pattern'], path) ?? Number(config['r']);
  const alpha = patterned(config['alpha_pattern'], path) ?? Number(config['lora_alpha']);
  return alpha / (config['use_rslora'] === true ? Math.sqrt(rank) : rank);
}

function patterned(map: unknown, path: string): number | null {
  const found = Object.entries((map ?? {}) as Record<string, number>).find(([pattern]) =>
    new RegExp(`^(?:.*\\.)?(?:${pattern})$`).test(path),
  );
  return found?.[1] ?? null;
}

/** Whether a list of target_modules, which is what the studio writes, names a module. */
function isTargeted(config: Record<string, unknown>, path: string): boolean {
  const targets = config['target_modules'] as string[];
  if (targets.includes(path)) return true;
  const layers = config['layers_to_transform'] as number[] | undefined;
  const layer = Number(/\.(\d+)\./.exec(path)?.[1]);
  return (
    targets.some((target) => path.endsWith(`.${target}`)) && (layers === undefined || layers.includes(layer))
  );
}
