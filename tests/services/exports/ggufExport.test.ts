import { readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { gguf } from '@huggingface/gguf';
import { certificateLines, certificateVerdict } from '../../../src-main/options/exits.ts';
import { trainConfigSchema, type TrainConfigInput } from '../../../src-main/contract/training.ts';
import { neverAborted, openTrainingCore } from '../../support/core.ts';

const { core, home } = await openTrainingCore();
afterAll(() => core.close());

async function train(name: string, adapter: TrainConfigInput['adapter']): Promise<void> {
  const config = trainConfigSchema.parse({
    adapter,
    maxSteps: 3,
    learningRate: 2e-2,
    batch: 2,
    context: 96,
    template: 'plain',
    system: 'Add.',
  });
  const { ended } = await core.runs.start({ name, model: 'tiny', dataset: 'sums', config });
  expect((await ended).state).toBe('done');
}

beforeAll(async () => {
  await train('plain', { method: 'lora', rank: 4, alpha: 8, rankStabilized: true });
  await train('routed', { method: 'idlora', rank: 4, alpha: 8, clusters: 3, pivots: 'random' });
}, 120_000);

/** What another reader finds in a file. */
async function read(path: string) {
  const { metadata, tensorInfos } = await gguf(path, { allowLocalFile: true });
  return { metadata: metadata as Record<string, unknown>, tensorInfos };
}
const temporaries = () => readdirSync(tmpdir()).filter((name) => name.startsWith('id-lora-export-'));

it('writes an adapter for llama.cpp that adds what the run adds, with what Ollama needs', async () => {
  const before = temporaries().length;
  const record = await core.exports.create({ run: 'plain', format: 'gguf-lora' }, neverAborted);
  expect(record.folder).toBe(join(home, 'exports', 'plain-gguf-lora'));
  expect(record.files.map(({ name }) => name).sort()).toEqual([
    'Modelfile',
    'README.md',
    'adapter.gguf',
    'data_contract.json',
  ]);
  const { certificate } = record;
  expect(certificateVerdict(certificate)).toMatchObject({ isGood: true, short: 'equal' });
  expect(certificate.peft).toMatchObject({ isEqual: true, modules: 14, rules: 'llama.cpp' });
  expect(certificateLines(certificate).join('\n')).toMatch(
    /^By llama\.cpp's rules.*14 of the run's 14 modules/m,
  );
  const { metadata, tensorInfos } = await read(join(record.folder, 'adapter.gguf'));
  expect(metadata).toMatchObject({
    'general.architecture': 'llama',
    'general.type': 'adapter',
    'general.name': 'plain',
    'adapter.type': 'lora',
    // Rank-stabilized: llama.cpp divides by the rank, and not by its root.
    'adapter.lora.alpha': 16,
  });
  expect(tensorInfos).toHaveLength(28);
  expect(tensorInfos.find(({ name }) => name === 'blk.1.attn_q.weight.lora_b')?.shape).toEqual([4n, 48n]);
  const modelfile = readFileSync(join(record.folder, 'Modelfile'), 'utf8');
  expect(modelfile).toContain('FROM ./base.gguf\nADAPTER ./adapter.gguf\nTEMPLATE """{{ range .Messages }}');
  expect(modelfile).toContain('SYSTEM """Add."""\nPARAMETER stop "</s>"');
  expect(readFileSync(join(record.folder, 'README.md'), 'utf8')).toContain('--lora adapter.gguf');
  // What was laid out to be compared is gone.
  expect(temporaries()).toHaveLength(before);
});

it('writes a whole model in 8 bits with tokenizer and template, which computes what the run computes', async () => {
  const [folder, dtype] = [join(home, 'whole'), 'Q8_0'] as const;
  const record = await core.exports.create({ run: 'plain', format: 'gguf', folder, dtype }, neverAborted);
  const { certificate } = record;
  expect(certificateVerdict(certificate)).toMatchObject({ isGood: true, short: 'equal' });
  expect(certificate.dtype).toBe(dtype);
  // Rows of the file against what base and update add up to, within the steps of its type.
  expect(certificate.merged).toMatchObject({ isEqual: true, rows: 32 });
  const { metadata, tensorInfos } = await read(join(folder, 'model.gguf'));
  expect(metadata).toMatchObject({
    'general.architecture': 'llama',
    'general.type': 'model',
    'tokenizer.ggml.model': 'gpt2',
    'tokenizer.ggml.bos_token_id': 1,
    'tokenizer.ggml.eos_token_id': 2,
    'tokenizer.ggml.add_bos_token': true,
  });
  expect(metadata['tokenizer.ggml.tokens']).toHaveLength(101);
  expect(metadata['tokenizer.chat_template']).toContain("message.role + ':'");
  expect(metadata['tokenizer.chat_template']).not.toMatch(/%-? ?(end)?generation/);
  expect(tensorInfos).toHaveLength(2 * 9 + 3);
  expect(readFileSync(join(folder, 'Modelfile'), 'utf8')).toMatch(/^FROM \.\/model\.gguf\nTEMPLATE/);
});

it('freezes the route of a routed adapter where it merges it, and says how far off that is', async () => {
  const record = await core.exports.create({ run: 'routed', format: 'gguf', dtype: 'F32' }, neverAborted);
  const { certificate } = record;
  expect(certificateVerdict(certificate)).toMatchObject({ isGood: true, short: 'approximate' });
  expect(certificate.frozen).toMatchObject({ dataset: 'sums', rows: 60 });
  expect(certificate.maxLogitDifference).toBeGreaterThan(1e-3);
});
