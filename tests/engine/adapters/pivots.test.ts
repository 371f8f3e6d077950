import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { minimumSizeKMeans } from '../../../src-main/engine/adapters/pivots/minimumSizeKMeans.ts';
import { PivotChooser } from '../../../src-main/engine/adapters/pivots/pivots.ts';
import { RowDistances } from '../../../src-main/engine/adapters/pivots/rowDistances.ts';
import { hostBytes } from '../../../src-main/engine/graph/session.ts';
import { asFloat32, toBfloat16 } from '../../../src-main/formats/files/floats.ts';
import { loadTensorflow } from '../../../src-main/engine/runtime/loadTensorflow.ts';
import { createRandom } from '../../../src-main/statistics/random.ts';
import { SafetensorsFile } from '../../../src-main/formats/files/safetensors.ts';
import { recorded } from '../../support/paths.ts';
import { floats } from '../../support/parity/recordedValues.ts';

const { tf } = loadTensorflow();
const read = <T>(name: string): T => JSON.parse(readFileSync(join(recorded, name), 'utf8')) as T;

interface ClusterCase {
  matrix: string;
  clusters: number;
  minimumSize: number;
  /** Of k-means-constrained, one start each. */
  inertias: number[];
}

/** An engine with f32 rows set. */
async function openRows(rows: Float32Array, dimensions: number, clusters: number): Promise<RowDistances> {
  const layout = { count: rows.length / dimensions, dimensions, clusters, stored: 'f32' as const };
  const engine = await RowDistances.open(tf, layout);
  engine.set(hostBytes(rows));
  return engine;
}

const mean = (values: number[]) => values.reduce((a, b) => a + b, 0) / values.length;

describe('k-means with a minimum cluster size', () => {
  const file = new SafetensorsFile(join(recorded, 'kmeans.safetensors'), 'internal');

  it.each(read<ClusterCase[]>('kmeans.json'))(
    '$matrix, $clusters clusters of at least $minimumSize: as good as k-means-constrained, on average and at best',
    async ({ matrix, clusters, minimumSize, inertias }) => {
      const rows = floats(file, matrix);
      const dimensions = file.tensors.get(matrix)!.shape[1]!;
      const engine = await openRows(rows, dimensions, clusters);
      const found = inertias.map((_, seed) => minimumSizeKMeans(engine, { minimumSize, seed }));
      engine.close();
      for (const { cluster, inertia } of found) {
        expect(inertia / inertiaOf(rows, dimensions, cluster, clusters)).toBeCloseTo(1, 5);
        for (let c = 0; c < clusters; c++)
          expect(cluster.filter((x) => x === c).length).toBeGreaterThanOrEqual(minimumSize);
      }
      const ours = found.map(({ inertia }) => inertia);
      expect(Math.min(...ours) / Math.min(...inertias)).toBeLessThan(1.02);
      expect(mean(ours) / mean(inertias)).toBeLessThan(1.02);
    },
  );

  it('reads bf16 as it is stored', async () => {
    const [count, dimensions] = [30, 7];
    const random = createRandom(2);
    const halves = toBfloat16(Float32Array.from({ length: count * dimensions }, () => random.next()));
    const bytes = new Uint8Array(halves.buffer);
    const engine = await RowDistances.open(tf, { count, dimensions, clusters: 3, stored: 'bf16' });
    engine.set(bytes);
    const fromHalves = minimumSizeKMeans(engine, { minimumSize: 4, seed: 1 });
    engine.close();
    const exact = await openRows(asFloat32(bytes, 'BF16'), dimensions, 3);
    expect(fromHalves).toEqual(minimumSizeKMeans(exact, { minimumSize: 4, seed: 1 }));
    exact.close();
  });

  it('clusters rows that are all equal', async () => {
    const engine = await openRows(new Float32Array(20 * 5).fill(0.3), 5, 4);
    const { cluster, inertia } = minimumSizeKMeans(engine, { minimumSize: 5, seed: 0 });
    engine.close();
    expect(inertia).toBeCloseTo(0, 6);
    for (let c = 0; c < 4; c++) expect(cluster.filter((x) => x === c).length).toBe(5);
  });
});

/** Sum of squared distances to the means of the clusters, in f64. */
function inertiaOf(rows: Float32Array, dimensions: number, cluster: Int32Array, clusters: number): number {
  const sums = new Float64Array(clusters * dimensions);
  const sizes = new Float64Array(clusters);
  cluster.forEach((c, row) => {
    sizes[c]!++;
    for (let d = 0; d < dimensions; d++) sums[c * dimensions + d]! += rows[row * dimensions + d]!;
  });
  return rows.reduce((total, value, i) => {
    const c = cluster[Math.floor(i / dimensions)]!;
    return total + (value - sums[c * dimensions + (i % dimensions)]! / sizes[c]!) ** 2;
  }, 0);
}

describe('pivots', () => {
  const random = createRandom(9);
  const [count, dimensions] = [40, 6];
  const rows = Float32Array.from({ length: count * dimensions }, () => random.next() - 0.5);
  const source = { count, dimensions, stored: 'f32' as const, bytes: () => hostBytes(rows) };
  const options = { clusters: 4, rank: 5, seed: 3 };
  const chooser = new PivotChooser(tf);

  it('pmrc: r different rows of each cluster, nearest to its centroid first, the same for the same seed', async () => {
    const pivots = await chooser.choose('pmrc', source, options);
    expect(new Set(pivots).size).toBe(20);
    expect(await chooser.choose('pmrc', source, options)).toEqual(pivots);
    const engine = await openRows(rows, dimensions, 4);
    const { cluster } = minimumSizeKMeans(engine, { minimumSize: 5, seed: 3 });
    engine.close();
    for (let c = 0; c < 4; c++) {
      const members = [...Array(count).keys()].filter((p) => cluster[p] === c);
      const centroid = Array.from(
        { length: dimensions },
        (_, d) => members.reduce((sum, p) => sum + rows[p * dimensions + d]!, 0) / members.length,
      );
      const distance = (p: number) =>
        Math.hypot(...centroid.map((value, d) => rows[p * dimensions + d]! - value));
      members.sort((a, b) => distance(a) - distance(b));
      expect([...pivots.slice(c * 5, c * 5 + 5)]).toEqual(members.slice(0, 5));
    }
  });

  it('serial: contiguous rows in order; random: different rows', async () => {
    expect([...(await chooser.choose('serial', source, options))]).toEqual([...Array(20).keys()]);
    const chosen = await chooser.choose('random', source, options);
    expect(new Set(chosen).size).toBe(20);
    expect(Math.max(...chosen)).toBeLessThan(count);
  });

  it('says which rank fits where k r exceeds the rows', async () => {
    await expect(chooser.choose('pmrc', source, { clusters: 4, rank: 11, seed: 0 })).rejects.toThrow(
      /4 x 11 = 44 different rows of W, which has 40/,
    );
  });
});
