import { existsSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { generate } from '../../src-main/engine/inference/generate.ts';
import { loadTensorflow } from '../../src-main/engine/runtime/loadTensorflow.ts';
import { loadTokenizer } from '../../src-main/formats/model/tokenizer.ts';
import { llamaAnswers } from '../../src-main/services/exports/otherSoftware.ts';
import { neverAborted } from '../support/core.ts';
import { askLlamaCpp, drawnAdapter, exportGguf, writeBase } from '../support/parity/llamaCpp.ts';
import { llamaQuantized, storedTensors } from '../support/parity/llamaQuantize.ts';
import { projectFolder } from '../support/paths.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

const provision = join(projectFolder, '..', 'shared', 'tools', 'provision-smollm2');
const isThere = existsSync(provision);
const maxTokens = 24;

const texts = [
  ...[
    'What is the capital of France?',
    'Name three colors.',
    'How much is 12 + 30?',
    'Write a line about rain.',
  ],
  ...[
    'Why is the sky blue?',
    'Who wrote Hamlet?',
    'Say hello in Spanish.',
    'What do bees make?',
    'List two fruits.',
  ],
  ...[
    'How many days has a week?',
    'What is water made of?',
    'Give me advice for sleep.',
    'Is 7 a prime number?',
  ],
  ...[
    'What does a doctor do?',
    'Tell me a joke.',
    'Where do penguins live?',
    'What is Python?',
    'Define "friend".',
  ],
  ...['How do I boil an egg?', 'What comes after Monday?'],
];

/** SmolLM2 as GGUF files: the base, an adapter of it, and both merged, in F32; with the prompts of all texts. */
function exportedSmolLm() {
  const modelFolder = execFileSync(provision, { encoding: 'utf8' }).trim().split('\n').at(-1)!;
  const work = temporaryFolder();
  const tokenizer = loadTokenizer(modelFolder);
  const prompts = texts.map((text) =>
    tokenizer.encode(`<|im_start|>user\n${text}<|im_end|>\n<|im_start|>assistant\n`, { specialTokens: true }),
  );
  const checkpoint = drawnAdapter(modelFolder, work, 0.02);
  const lora = exportGguf('gguf-lora', { modelFolder, checkpoint, work });
  const merged = exportGguf('gguf', { modelFolder, checkpoint, work });
  const base = join(work, 'base.gguf');
  writeBase(modelFolder, base);
  return {
    modelFolder,
    work,
    tokenizer,
    prompts,
    adapterFolder: join(checkpoint, 'adapter'),
    base,
    lora,
    merged,
  };
}

/** The engine's own greedy answers in f32. */
async function answersHere(asked: {
  modelFolder: string;
  adapterFolder: string | null;
  tokenizer: ReturnType<typeof loadTokenizer>;
  prompts: number[][];
}): Promise<number[][]> {
  const { modelFolder, adapterFolder, tokenizer, prompts } = asked;
  const { rows } = await generate(
    {
      kind: 'generate',
      model: { folder: modelFolder, precision: 'f32', adapterFolder },
      prompts,
      maxTokens,
      temperature: 0,
      topP: 1,
      seed: 1,
      stop: [],
      endIds: tokenizer.endIds,
      batch: prompts.length,
    },
    {
      tf: loadTensorflow().tf,
      fusion: false,
      products: 'native',
      emit: () => undefined,
      stopRequested: async () => null,
    },
  );
  return rows.map((row) => row.ids);
}

/**
 * Programs of llama.cpp as the certificate asks them, where they are named: ID_LORA_LLAMA_SERVER a llama-server,
 * ID_LORA_LLAMA_PYTHON a Python with llama-cpp-python.
 */
const programs = [
  ['llama-server', process.env['ID_LORA_LLAMA_SERVER'], /^llama\.cpp \S*\d/],
  ['llama-cpp-python', process.env['ID_LORA_LLAMA_PYTHON'], /^llama_cpp \d/],
] as const;

describe.each(programs)('%s, as the certificate asks it,', (name, program, version) => {
  afterEach(() => vi.unstubAllEnvs());
  it.runIf(isThere && program)(
    `answers 20 questions as SmolLM2-135M-Instruct does here${program ? '' : ' (skipped: it is not named)'}`,
    { timeout: 1_800_000 },
    async () => {
      const { modelFolder, tokenizer, prompts, adapterFolder, base, lora, merged } = exportedSmolLm();
      if (name === 'llama-server') vi.stubEnv('ID_LORA_LLAMA_SERVER', program!);
      else {
        vi.stubEnv('ID_LORA_PYTHON', program!);
        // No llama-server is found.
        vi.stubEnv('ID_LORA_LLAMA_SERVER', '');
        vi.stubEnv('PATH', '');
      }
      const { endIds } = tokenizer;
      const context = Math.max(...prompts.map(({ length }) => length)) + maxTokens + 8;
      const ask = (files: { model: string; lora: string | null }) =>
        llamaAnswers({ ...files, prompts, maxTokens, endIds, context }, neverAborted);
      const here = (folder: string | null) =>
        answersHere({ modelFolder, adapterFolder: folder, tokenizer, prompts });
      const [plain, adapted] = [await here(null), await here(adapterFolder)];
      expect(plain).not.toEqual(adapted);
      // The engine leaves the end of an answer out.
      const withoutEnd = (answers: readonly number[][]) =>
        answers.map((ids) => ids.filter((id) => !endIds.includes(id)));
      for (const [files, ours] of [
        [{ model: base, lora: null }, plain],
        [{ model: base, lora }, adapted],
        [{ model: merged, lora: null }, adapted],
      ] as const) {
        const { software, answers } = await ask(files);
        expect(software).toMatch(version);
        console.log(`${software}: ${answers.flat().length} tokens`);
        expect(withoutEnd(answers)).toEqual(withoutEnd(ours));
      }
    },
  );
});

/** Recorded (with ID_LORA_LLAMA_CPP anew): the same 20 answers in f32, token by token, of adapter and merged model. */
it.runIf(isThere)(
  `llama.cpp answers 20 questions as SmolLM2-135M-Instruct does here${isThere ? '' : ' (skipped: needs ../shared/tools)'}`,
  { timeout: 1_800_000 },
  async () => {
    const { modelFolder, work, tokenizer, prompts, adapterFolder, base, lora, merged } = exportedSmolLm();
    const asked = { prompts, texts, maxTokens };
    const results = askLlamaCpp(
      'llamaCpp-smollm2',
      [
        { ...asked, model: base },
        { ...asked, model: base, lora },
        { ...asked, model: merged },
      ],
      work,
    );
    const answers = (folder: string | null) =>
      answersHere({ modelFolder, adapterFolder: folder, tokenizer, prompts });
    const withoutEnd = (found: readonly number[][]) =>
      found.map((row) => row.filter((id) => !tokenizer.endIds.includes(id)));
    const [plain, adapted] = [withoutEnd(await answers(null)), withoutEnd(await answers(adapterFolder))];
    expect(plain).not.toEqual(adapted);
    const bare = texts.map((text) => tokenizer.encode(text, { specialTokens: false }));
    for (const { tokens } of results) expect(tokens).toEqual(bare);
    expect(results.map((result) => withoutEnd(result.answers))).toEqual([plain, adapted, adapted]);
  },
);

/** Recorded (with ID_LORA_LLAMA_CPP anew): 135 million numbers. */
it.runIf(isThere)('Q4_K_M of SmolLM2-135M is what llama-quantize makes', { timeout: 1_800_000 }, () => {
  const modelFolder = execFileSync(provision, { encoding: 'utf8' }).trim().split('\n').at(-1)!;
  const work = temporaryFolder();
  const [plain, own] = [join(work, 'plain.gguf'), join(work, 'own.gguf')];
  writeBase(modelFolder, plain);
  const began = process.cpuUsage();
  writeBase(modelFolder, own, 'Q4_K_M');
  const { user, system } = process.cpuUsage(began);
  console.log(`Q4_K_M of SmolLM2-135M in ${((user + system) / 1e6).toFixed(1)} s of a processor`);
  expect(storedTensors(own)).toEqual(llamaQuantized('SmolLM2-135M-Instruct', plain));
});
