import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { checkSize, checkTraining } from '../../src-main/options/checkAdapter.ts';
import { countParameters } from '../../src-main/budget/count.ts';
import { baseParameters, presets } from '../../src-main/shape/modelShape.ts';
import { checkWeights, expectedWeights } from '../../src-main/formats/model/decoderWeights.ts';
import { readDecoderConfig } from '../../src-main/formats/families/huggingFaceConfig.ts';
import { WeightFolder } from '../../src-main/formats/model/weightFolder.ts';
import { fixtures } from '../support/paths.ts';
import {
  adapterConfigSchema,
  trainConfigSchema,
  type AdapterConfig,
  type Method,
} from '../../src-main/contract/training.ts';
import { llamaConfig } from '../../src-main/formats/families/decoderConfig.ts';

const llama8b = presets['llama-3-8b']!;

function adapter(method: Method, rank: number, rest: Partial<AdapterConfig> = {}): AdapterConfig {
  return adapterConfigSchema.parse({ method, rank, alpha: 2 * rank, ...rest });
}

describe('base parameters', () => {
  it.each([
    ['llama-3-8b', 8_030_261_248],
    ['llama-3-70b', 70_553_706_496],
    ['mistral-7b', 7_241_732_096],
    ['llama-3.2-1b', 1_235_814_400],
    ['llama-3.2-3b', 3_212_749_824],
    ['qwen2.5-0.5b', 494_032_768],
    ['qwen2.5-1.5b', 1_543_714_304],
    ['qwen2.5-3b', 3_085_938_688],
    ['qwen2.5-7b', 7_615_616_512],
    ['qwen2.5-14b', 14_770_033_664],
    ['qwen2.5-32b', 32_763_876_352],
    ['qwen2.5-72b', 72_706_203_648],
    ['qwen3-0.6b', 596_049_920],
    ['qwen3-1.7b', 1_720_574_976],
    ['qwen3-4b', 4_022_468_096],
    ['qwen3-8b', 8_190_735_360],
    ['qwen3-14b', 14_768_307_200],
    ['qwen3-32b', 32_762_123_264],
  ])('%s has the published %i', (name, expected) => {
    expect(baseParameters(presets[name]!)).toBe(expected);
  });

  it.each(readdirSync(fixtures).filter((name) => name.startsWith('tiny-')))(
    'are the numbers in the file of %s',
    (name) => {
      const config = readDecoderConfig(join(fixtures, name));
      const weights = new WeightFolder(join(fixtures, name));
      checkWeights(config, weights);
      expect([...expectedWeights(config).keys()].toSorted()).toEqual(weights.names.toSorted());
      const stored = weights.names.map((tensor) => weights.info(tensor)!.shape.reduce((n, m) => n * m, 1));
      expect(baseParameters(config)).toBe(stored.reduce((a, b) => a + b, 0));
      weights.close();
    },
  );

  it('are the sum of the tensors that a folder of the configuration has', () => {
    for (const shape of Object.values(presets)) {
      const counted = [...expectedWeights(llamaConfig(shape, 8)).values()].map((dims) =>
        dims.reduce((n, size) => n * size, 1),
      );
      expect(counted.reduce((a, b) => a + b, 0)).toBe(baseParameters(shape));
    }
  });
});

describe('trainable parameters on LLaMA-3-8B (Table 6, millions)', () => {
  const ranks = [8, 16, 32, 64, 128];
  it.each<[Method, string[]]>([
    ['lora', ['21.0', '41.9', '83.9', '167.8', '335.5']],
    ['dora', ['22.3', '43.3', '85.3', '169.1', '336.9']],
    ['hydralora', ['46.7', '89.7', '175.7', '347.7', '691.6']],
    ['moelora', ['88.9', '172.8', '340.5', '676.1', '1347.2']],
    // The paper prints 10.4 for rank 16: it cuts 10.49.
    ['idlora', ['7.7', '10.5', '16.0', '27.0', '49.0']],
  ])('%s', (method, expected) => {
    const counts = ranks.map((rank) => countParameters(llama8b, adapter(method, rank)).trainable / 1e6);
    expect(counts.map((millions) => millions.toFixed(1))).toEqual(expected);
  });

  it('ID-LoRA of rank 128: 0.56 % as the paper counts, 0.61 % of the base', () => {
    const count = countParameters(llama8b, adapter('idlora', 128));
    expect(count.trainable).toBe(49_020_928);
    expect(count.percentPaper.toFixed(2)).toBe('0.56');
    expect(count.percentBase.toFixed(2)).toBe('0.61');
    expect(1 - count.trainable / countParameters(llama8b, adapter('lora', 32)).trainable).toBeCloseTo(
      0.416,
      3,
    );
  });
});

describe('impossible combinations name the nearest possible ones', () => {
  const tiny = {
    ...llama8b,
    hiddenSize: 64,
    intermediateSize: 172,
    heads: 8,
    keyValueHeads: 4,
    headDim: 8,
    layers: 5,
    vocabularySize: 512,
    tieEmbeddings: true,
  };
  it('k r beyond the rows of a module', () => {
    expect(() => checkSize(tiny, adapter('idlora', 16))).toThrow(
      /4 x 16 = 64 different rows of k_proj, which has 32/,
    );
    expect(() => checkSize(tiny, adapter('idlora', 8))).not.toThrow();
  });
  it('s not dividing the rank or an output', () => {
    expect(() => checkSize(tiny, adapter('idlora', 7))).toThrow(/rank 7 is no multiple of 2/);
    expect(() => checkSize(tiny, adapter('idlora', 6, { boost: 3 }))).toThrow(
      /Boost 3 does not divide the 64 outputs/,
    );
  });
  it.each<[Partial<AdapterConfig>, Method, RegExp, RegExp]>([
    [
      { rank: 6, boost: 4 },
      'idlora',
      /rank 6 is no multiple of 4 \(q_proj\)/,
      /rank 4 or 8, or a boost that divides 6 \(1, 2\)/,
    ],
    [{ rank: 3, boost: 8 }, 'idlora', /no multiple of 8/, /rank 8, or a boost that divides 3 \(1\)/],
    [{ rank: 6, boost: 3 }, 'idlora', /Boost 3 does not divide the 64/, /both 64 and rank 6 \(1, 2\)/],
    [
      { rank: 16 },
      'idlora',
      /different rows of k_proj/,
      /rank 8 or less, or at most 2 clusters, or modules without k_proj/,
    ],
    [
      { rank: 20, pivots: 'svd', targets: ['up_proj'] },
      'idlora',
      /4 x 20 = 80 different singular vectors of up_proj, which has 64/,
      /rank 16 or less, or at most 3 clusters/,
    ],
    [{ rank: 40 }, 'idlora', /different rows of q_proj/, /rank 8 or less, or at most 1 clusters/],
    [
      { rank: 4, clusters: 16, boost: 4 },
      'idlora',
      /64 different rows of k_proj, which has 32/,
      /at most 8 clusters/,
    ],
    [
      { rank: 6, experts: 4, gate: 'task' },
      'moelora',
      /divides the rank among 4 experts/,
      /rank 4 or 8, or a number of experts that divides 6 \(1, 2, 3, 6\)/,
    ],
    [
      { rank: 8, experts: 4, gate: 'task', rankPattern: { up_proj: 3 } },
      'moelora',
      /rank 3 is no multiple of 4 \(up_proj\)/,
      /rank 4, or/,
    ],
    [{ rank: 8, tasks: 3 }, 'moelora', /3 tasks mean nothing/, /gate task/],
    [
      { rank: 8, rankPattern: { k_proj: 64 } },
      'lora',
      /Rank 64 is larger than the smallest side of k_proj, 32/,
      /rank 32 or less/,
    ],
    [{ rank: 8, rankPattern: { k_proj: 9 } }, 'idlora', /rank 9 is no multiple/, /rank 8 or 10/],
  ])('%j with %s', (more, method, message, remedy) => {
    const attempt = () => checkSize(tiny, adapter(method, 1, more));
    expect(attempt).toThrow(
      expect.objectContaining({
        code: 'config_invalid',
        message: expect.stringMatching(message) as string,
        remedy: expect.stringMatching(remedy) as string,
      }) as Error,
    );
  });
  it.each([1, 2, 3, 4, 5, 8, 12, 16])('%i clusters with boost 1, 2, 4 and 8 are possible', (clusters) => {
    const shape = presets['llama-3.2-1b']!;
    for (const boost of [1, 2, 4, 8])
      expect(() => checkSize(shape, adapter('idlora', 8, { clusters, boost }))).not.toThrow();
  });
  it('options of an adapter on full fine-tuning, and a rate for B matrices that are not there', () => {
    const full =
      (more: object, run: object = {}) =>
      () =>
        checkTraining(
          tiny,
          trainConfigSchema.parse({ adapter: { method: 'full', rank: 1, alpha: 1, ...more }, ...run }),
        );
    expect(full({})).not.toThrow();
    expect(full({ layers: [0], dropout: 0.1 })).toThrow(/a choice of layers, dropout 0.1 cannot apply/);
    expect(full({ rankPattern: { q_proj: 2 } })).toThrow(/a rank pattern/);
    expect(full({ alphaPattern: { q_proj: 2 } })).toThrow(/an alpha pattern/);
    expect(full({ rankStabilized: true })).toThrow(/rslora/);
    expect(full({ targets: ['q_proj', 'v_proj'] })).toThrow(/a choice of modules \(q_proj, v_proj\)/);
    expect(full({}, { loraPlusRatio: 4 })).toThrow(/LoRA\+ gives the B matrices/);
  });
  it('a rank beyond a side of the matrix', () => {
    expect(() => checkSize(tiny, adapter('lora', 33))).toThrow(/larger than the smallest side of k_proj, 32/);
  });
});

it('counts that would no longer be exact are refused', () => {
  const shape = { ...llama8b, layers: 9999, hiddenSize: 2 ** 20, intermediateSize: 2 ** 20 };
  expect(() => countParameters(shape, adapter('lora', 8))).toThrow(/2\^53/);
});
