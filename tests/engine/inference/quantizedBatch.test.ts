import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import type { Quantization } from '../../../src-main/contract/training.ts';
import type { Graph } from '../../../src-main/engine/graph/graph.ts';
import * as sessions from '../../../src-main/engine/graph/session.ts';
import { choices } from '../../../src-main/engine/inference/choices.ts';
import { generate } from '../../../src-main/engine/inference/generate.ts';
import { loadTensorflow } from '../../../src-main/engine/runtime/loadTensorflow.ts';
import { createRandom } from '../../../src-main/statistics/random.ts';
import { fixtures, recorded } from '../../support/paths.ts';

vi.mock('../../../src-main/engine/graph/session.ts', { spy: true });

const { tf } = loadTensorflow();
const contextWith = (fusion: boolean) =>
  ({ tf, fusion, products: 'native', emit: () => undefined, stopRequested: async () => null }) as const;
const random = createRandom(8);
const tokens = (length: number) => Array.from({ length }, () => 3 + random.integer(90));
const prompts = [3, 41, 17, 1, 30, 8, 17].map(tokens);
const modelOf = (quantization: Quantization, adapter: string | null) => ({
  folder: join(fixtures, 'tiny-llama'),
  precision: 'f32' as const,
  quantization,
  adapterFolder: adapter && join(recorded, `tiny-llama-${adapter}`, 'adapter'),
});

/** The variables of a graph in which linear weights are kept, or copies of them: name, type and numbers. */
function keptWeights({ main, functions }: Graph) {
  const nodes = [main.nodes, ...[...functions.values()].map((definition) => definition.nodes)].flat();
  return nodes.flatMap(({ op, attributes }) => {
    const { shared_name: name, dtype, shape } = attributes;
    if (op !== 'VarHandleOp' || name?.kind !== 'string' || dtype?.kind !== 'type' || shape?.kind !== 'shape')
      return [];
    const numbers = shape.value.reduce((product, size) => product * size, 1);
    return /_proj\b/.test(name.value) ? [{ name: name.value, dtype: dtype.value, numbers }] : [];
  });
}

describe.each([
  ['int8', null],
  ['nf4', null],
  ['nf4', 'idlora'],
] as const)('a base kept as %s, adapter %s', (quantization, adapter) => {
  const model = modelOf(quantization, adapter);

  it.each([false, true])('decodes rows together as one by one, with compiled layers: %s', async (fusion) => {
    const decoded = async (batch: number) => {
      const asked = { maxTokens: 14, temperature: 0, topP: 1, seed: 1, stop: [], endIds: [1_000_000] };
      const { rows } = await generate(
        { kind: 'generate', model, prompts, batch, ...asked },
        contextWith(fusion),
      );
      return rows.map(({ ids }) => ids);
    };
    const alone = await decoded(1);
    expect(alone.map(({ length }) => length)).toEqual(prompts.map(() => 14));
    if (!fusion) expect(await decoded(3)).toEqual(alone);
    expect(await decoded(7)).toEqual(alone);
  });

  it('weighs choices together as one by one', async () => {
    const items = prompts.map((prompt) => ({ prompt, choices: [tokens(1), tokens(3), tokens(2)] }));
    const weighed = async (batch: number) =>
      (await choices({ kind: 'choices', model, items, batch }, contextWith(false))).rows;
    const [alone, together] = [await weighed(1), await weighed(7)];
    together.forEach(({ logLikelihoods, greedy }, i) => {
      expect(greedy).toEqual(alone[i]!.greedy);
      logLikelihoods.forEach((value, j) => expect(value).toBeCloseTo(alone[i]!.logLikelihoods[j]!, 4));
    });
  });
});

it.each([
  ['nf4', 'u8', 1 / 2],
  ['int8', 'i8', 1],
] as const)(
  'a base in %s is decoded from what is kept alone: no wider copy of a weight stays',
  async (kind, dtype, share) => {
    const opened = vi.mocked(sessions.openSession);
    for (const batch of [1, 7]) {
      opened.mockClear();
      const asked = { maxTokens: 2, temperature: 0, topP: 1, seed: 1, stop: [], endIds: [1_000_000] };
      await generate(
        { kind: 'generate', model: modelOf(kind, null), prompts, batch, ...asked },
        contextWith(true),
      );
      const weights = opened.mock.calls.flatMap(([, graph]) => keptWeights(graph));
      // q of 48 x 48 numbers and the narrowest, k and v, of 24 x 48; scales are smaller.
      const large = weights.filter(({ numbers }) => numbers >= share * 24 * 48);
      expect(new Set(large.map(({ name }) => name)).size).toBe(2 * 7);
      expect(new Set(large.map((weight) => weight.dtype))).toEqual(new Set([dtype]));
    }
  },
);
