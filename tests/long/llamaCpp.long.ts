import { existsSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { generate } from '../../src-main/engine/inference/generate.ts';
import { loadTensorflow } from '../../src-main/engine/runtime/loadTensorflow.ts';
import { loadTokenizer } from '../../src-main/formats/model/tokenizer.ts';
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

/** Recorded (with ID_LORA_LLAMA_CPP anew): the same 20 answers in f32, token by token, of adapter and merged model. */
it.runIf(isThere)(
  `llama.cpp answers 20 questions as SmolLM2-135M-Instruct does here${isThere ? '' : ' (skipped: needs ../shared/tools)'}`,
  { timeout: 1_800_000 },
  async () => {
    const modelFolder = execFileSync(provision, { encoding: 'utf8' }).trim().split('\n').at(-1)!;
    const work = temporaryFolder();
    const tokenizer = loadTokenizer(modelFolder);
    const prompts = texts.map((text) =>
      tokenizer.encode(`<|im_start|>user\n${text}<|im_end|>\n<|im_start|>assistant\n`, {
        specialTokens: true,
      }),
    );
    const checkpoint = drawnAdapter(modelFolder, work, 0.02);
    const lora = exportGguf('gguf-lora', { modelFolder, checkpoint, work });
    const merged = exportGguf('gguf', { modelFolder, checkpoint, work });
    const base = join(work, 'base.gguf');
    writeBase(modelFolder, base);
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
    const answers = async (adapterFolder: string | null) => {
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
    };
    const withoutEnd = (found: readonly number[][]) =>
      found.map((row) => row.filter((id) => !tokenizer.endIds.includes(id)));
    const [plain, adapted] = [
      withoutEnd(await answers(null)),
      withoutEnd(await answers(join(checkpoint, 'adapter'))),
    ];
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
