// What llama.cpp makes of GGUF files: tokens of texts, log-probabilities of every next token, and greedy answers.
//
// usage: node tests/parity/generator/llamaCpp.mjs JOBS.json OUT.json
//
// Needs node-llama-cpp, which brings llama.cpp, in a folder of its own that ID_LORA_LLAMA_CPP names:
//   mkdir FOLDER && cd FOLDER && npm init -y && npm install node-llama-cpp@3.22.1 --ignore-scripts
// Everything is computed in f32 (keys and values, too), on the CPU.
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const folder = process.env.ID_LORA_LLAMA_CPP;
if (!folder) throw new Error('ID_LORA_LLAMA_CPP names no folder with node-llama-cpp');
const resolve = createRequire(join(folder, 'package.json')).resolve;
const { getLlama, LlamaLogLevel } = await import(pathToFileURL(resolve('node-llama-cpp')).href);

// One thread: several wait for each other in circles where others want the processor.
const llama = await getLlama({ gpu: false, build: 'never', logLevel: LlamaLogLevel.error, maxThreads: 1 });

/** Of every position the log-probabilities of all tokens. */
async function logProbabilities(sequence, ids) {
  const inputs = ids.map((id) => [id, { generateNext: { probabilities: true, options: {} } }]);
  const outputs = await sequence.controlledEvaluate(inputs);
  return outputs.map(({ next }) => {
    const row = new Array(next.probabilities.size);
    for (const [token, probability] of next.probabilities) row[token] = Math.log(probability);
    return row;
  });
}

async function answer(sequence, model, ids, count) {
  const found = [];
  for await (const token of sequence.evaluate(ids, { temperature: 0, yieldEogToken: true })) {
    found.push(token);
    if (found.length >= count || model.isEogToken(token)) break;
  }
  return found;
}

async function run({ model: path, lora, prompts = [], texts = [], maxTokens = 0, contextSize = 256 }) {
  const model = await llama.loadModel({ modelPath: path, gpuLayers: 0 });
  const context = await model.createContext({
    contextSize,
    threads: 1,
    flashAttention: false,
    experimentalKvCacheKeyType: 'F32',
    experimentalKvCacheValueType: 'F32',
    ...(lora && { lora: { adapters: [{ filePath: lora, scale: 1 }] } }),
  });
  const sequence = context.getSequence();
  const result = {
    tokens: texts.map((text) => model.tokenize(text, true)),
    logProbabilities: [],
    answers: [],
  };
  for (const ids of prompts) {
    await sequence.clearHistory();
    if (maxTokens === 0) result.logProbabilities.push(await logProbabilities(sequence, ids));
    else result.answers.push(await answer(sequence, model, ids, maxTokens));
  }
  await context.dispose();
  await model.dispose();
  return result;
}

const results = [];
for (const job of JSON.parse(readFileSync(process.argv[2], 'utf8'))) results.push(await run(job));
const software = `llama.cpp ${llama.llamaCppRelease.release}`;
writeFileSync(process.argv[3], JSON.stringify({ software, results }));
await llama.dispose();
