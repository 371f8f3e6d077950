import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { writeFileAtomic } from '../../formats/files/atomicFile.ts';
import { Graph, type Products } from '../graph/graph.ts';
import { cast } from '../graph/ops/elementwise.ts';
import { matmul } from '../graph/ops/linear.ts';
import { sum } from '../graph/ops/reduce.ts';
import { effectEntry, openSession, type Tensorflow } from '../graph/session.ts';
import { assignVariable, createVariable, fill, readVariable } from '../graph/variables.ts';
import { chosenCard, multipliesBf16 } from './card.ts';
import type { Runtime } from './loadTensorflow.ts';

/** Floating-point operations a second of bf16 products, by the way in which they are computed. */
const speedsSchema = z.object({ native: z.number().positive(), widened: z.number().positive() });
export type ProductSpeeds = z.infer<typeof speedsSchema>;

export interface ProductChoice {
  products: Products;
  /** Why: for the log; null where there was nothing to choose. */
  reason: string | null;
}

/** What a choice is made from; tests give their own. */
export interface ProductsProbe {
  /** Measured speeds are kept here; null: they are measured by each process. */
  folder: string | null;
  /** `native` or `widened` where a person decided; undefined: it is measured. */
  wanted: string | undefined;
  /** The processor as it names itself, with its number of cores. */
  processor: string;
  measure(tf: Tensorflow, width: number): Promise<ProductSpeeds>;
}

const usualProbe = (): ProductsProbe => ({
  folder: process.env['ID_LORA_STUDIO_MEASURED'] ?? null,
  wanted: process.env['ID_LORA_STUDIO_BF16_PRODUCTS'],
  processor: `${cpus()[0]?.model.trim() ?? 'unknown processor'}, ${cpus().length} cores`,
  measure: measureProducts,
});

/** Between ways that are so close the more exact one is taken. */
const worthwhile = 1.05;

/**
 * How bf16 matrices are best multiplied on this machine. On a GPU its bf16 kernels are taken, on one without units for
 * them f32's; on a processor both ways
 * are timed at the model's width, once: which is faster (by up to three times) depends on the processor, its library
 * and on what the flags of the processor do not say. The speeds are kept, so that later processes choose alike and a
 * run computes the same numbers each time.
 * @param width the model's hidden size
 */
export async function chooseProducts(
  { tf, version, devices }: Pick<Runtime, 'tf' | 'version' | 'devices'>,
  width: number,
  probe = usualProbe(),
): Promise<ProductChoice> {
  if (devices.includes('gpu')) {
    const card = chosenCard();
    if (!card || multipliesBf16(card)) return { products: 'native', reason: null };
    const reason = `bf16 products by f32 kernels: ${card.name} (compute capability ${card.capability}) has no unit for them`;
    return { products: 'widened', reason };
  }
  if (probe.wanted === 'native' || probe.wanted === 'widened')
    return {
      products: probe.wanted,
      reason: `bf16 products ${probe.wanted}, as ID_LORA_STUDIO_BF16_PRODUCTS asks`,
    };
  const measuredWidth = Math.min(Math.max(width, narrowest), widest);
  const key = `${probe.processor}, TensorFlow ${version}, width ${measuredWidth}`;
  try {
    const speeds = keptSpeeds(probe.folder)[key] ?? (await measureAndKeep(tf, measuredWidth, key, probe));
    const products = speeds.native > worthwhile * speeds.widened ? 'native' : 'widened';
    const [bf16, f32] = [speeds.native, speeds.widened].map((speed) => Math.round(speed / 1e9));
    return {
      products,
      reason: `bf16 products by ${products === 'native' ? 'bf16' : 'f32'} kernels: measured ${bf16} GFLOP/s in bf16 and ${f32} in f32 (${key})`,
    };
  } catch (error) {
    const what = error instanceof Error ? error.message : String(error);
    // Exact whatever the processor, and at worst slower.
    return {
      products: 'widened',
      reason: `Warning: bf16 products could not be timed (${what}): f32 kernels are used`,
    };
  }
}

async function measureAndKeep(
  tf: Tensorflow,
  width: number,
  key: string,
  { folder, measure }: ProductsProbe,
): Promise<ProductSpeeds> {
  const speeds = await measure(tf, width);
  if (folder)
    try {
      const known = { ...keptSpeeds(folder), [key]: speeds };
      writeFileAtomic(keptFile(folder), `${JSON.stringify(known, null, 1)}\n`);
    } catch {
      // A folder that cannot be written to: measured again by the next process.
    }
  return speeds;
}

const keptFile = (folder: string) => join(folder, 'bf16-products.json');

/** By processor, library and width; empty where none were kept, or not by us. */
function keptSpeeds(folder: string | null): Record<string, ProductSpeeds> {
  if (!folder) return {};
  try {
    return z.record(z.string(), speedsSchema).parse(JSON.parse(readFileSync(keptFile(folder), 'utf8')));
  } catch {
    return {};
  }
}

/** Narrower and wider matrices are timed as these: below, calls cost more than products; above, nothing changes. */
const narrowest = 256;
const widest = 1024;
/** Rows that are multiplied: of a small batch. */
const rows = 256;
const rounds = 3;

/** Times the products of a small feed-forward block, forward and backward, both ways in turn. */
export async function measureProducts(tf: Tensorflow, width: number): Promise<ProductSpeeds> {
  const ways = ['native', 'widened'] as const;
  const sessions = await Promise.all(ways.map((products) => openBlock(tf, width, products)));
  try {
    const seconds = ways.map((): number[] => []);
    // The first round prepares the graphs.
    for (let round = 0; round <= rounds; round++)
      for (const [i, session] of sessions.entries()) {
        const begun = performance.now();
        session.run('products', {});
        if (round > 0) seconds[i]!.push((performance.now() - begun) / 1000);
      }
    const operations = 4 * 2 * rows * width * (2 * width);
    const [native, widened] = seconds.map((times) => operations / times.toSorted((a, b) => a - b)[0]!);
    return { native: native!, widened: widened! };
  } finally {
    for (const session of sessions) session.close();
  }
}

async function openBlock(tf: Tensorflow, width: number, products: Products) {
  const graph = new Graph({ fusion: false, products });
  const x = createVariable(graph, 'x', [rows, width], 'bf16');
  const up = createVariable(graph, 'up', [2 * width, width], 'bf16');
  const down = createVariable(graph, 'down', [width, 2 * width], 'bf16');
  // Small enough that no sum overflows; the speed of a product does not depend on its numbers.
  const filled = [x, up, down].map((each) => assignVariable(each, fill(graph, each.shape, 2 ** -8, 'bf16')));
  const [input, first, second] = [x, up, down].map(readVariable);
  const hidden = matmul(input!, first!, { transposeY: true });
  const output = matmul(hidden, second!, { transposeY: true });
  const hiddenGradient = matmul(output, second!);
  const inputGradient = matmul(hiddenGradient, first!);
  const session = await openSession(tf, graph, {
    fill: effectEntry(graph, filled),
    products: { inputs: {}, outputs: { total: sum(cast(inputGradient, 'f32'), [0, 1]) } },
  });
  session.run('fill', {});
  return session;
}
