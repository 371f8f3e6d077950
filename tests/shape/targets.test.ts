import { expect, it } from 'vitest';
import { countParameters } from '../../src-main/budget/count.ts';
import { linearModules, moduleSize, presets, type ModelShape } from '../../src-main/shape/modelShape.ts';
import { modelTargets } from '../../src-main/shape/targets.ts';
import { modelSchema } from '../../src-main/contract/entities.ts';
import { adapterConfigSchema, targetModules } from '../../src-main/contract/training.ts';

const llama = presets['llama-3.2-1b']!;
const phi: ModelShape = { ...llama, fusedProjections: true };

it('all parts of a matrix mean the matrix', () => {
  const matrices = ['qkv_proj', 'o_proj', 'gate_up_proj', 'down_proj'];
  expect(modelTargets(phi, [...targetModules])).toEqual(matrices);
  expect(modelTargets(phi, ['up_proj', 'gate_proj'])).toEqual(['gate_up_proj']);
  expect(modelTargets(phi, ['down_proj', 'qkv_proj'])).toEqual(['qkv_proj', 'down_proj']);
  expect(modelTargets(llama, ['v_proj', 'q_proj'])).toEqual(['v_proj', 'q_proj']);
});

it('a part of a matrix, and modules of other models, are refused with the choice there is', () => {
  expect(() => modelTargets(phi, ['q_proj', 'v_proj'])).toThrow(
    /q_proj, k_proj, v_proj in one matrix, qkv_proj: q_proj, v_proj cannot be adapted alone/,
  );
  expect(() => modelTargets(llama, ['qkv_proj'])).toThrow(/no module qkv_proj/);
});

it('counts follow the matrices', () => {
  const lora = adapterConfigSchema.parse({ method: 'lora', rank: 8, alpha: 16 });
  const sizes = linearModules(phi).map((module) => moduleSize(phi, module));
  const expected = phi.layers * sizes.reduce((sum, { dIn, dOut }) => sum + 8 * (dIn + dOut), 0);
  expect(countParameters(phi, lora).trainable).toBe(expected);
});

it('models stored by earlier versions are read', () => {
  const stored = {
    id: 'a',
    name: 'm',
    folder: '/m',
    copied: false,
    family: 'qwen3',
    parameters: 1,
    dtype: 'F32',
    sizeBytes: 1,
    contextLength: 8,
    vocabularySize: 8,
    hiddenSize: 8,
    intermediateSize: 8,
    layers: 1,
    heads: 1,
    keyValueHeads: 1,
    contentHash: 'x',
    unusable: null,
    createdAt: '2026-01-01T00:00:00.000Z',
  };
  const sizes = {
    headDim: 8,
    tieEmbeddings: false,
    queryKeyValueBias: false,
    outputBias: false,
    mlpBias: false,
  };
  const architecture = (queryKeyNorm: boolean) =>
    modelSchema.parse({ ...stored, architecture: { ...sizes, queryKeyNorm } }).architecture;
  const rest = { normPlacement: 'before', fusedProjections: false };
  expect(architecture(true)).toMatchObject({ queryKeyNorm: 'head', ...rest });
  expect(architecture(false)).toMatchObject({ queryKeyNorm: 'none', ...rest });
  expect(modelSchema.parse(stored).architecture).toBeUndefined();
});
