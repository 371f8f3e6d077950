// Speaks llama-server's protocol as far as the certificate of exports asks it. Behind it is llama.cpp itself, through
// node-llama-cpp, where ID_LORA_LLAMA_CPP names a folder with it; else what llama.cpp answered when it was recorded,
// which holds for files of the same bytes. With ID_LORA_PARITY_RECORD answers are written to the recording.
//
// usage: node llamaServer.mjs RECORDING.json --model FILE [--lora FILE] --port N ... with LLAMA_API_KEY
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [recording, ...args] = process.argv.slice(2);
const option = (name) => args[args.indexOf(`--${name}`) + 1];
const model = option('model');
const lora = args.includes('--lora') ? option('lora') : null;
const hashOf = (path) => createHash('sha256').update(readFileSync(path)).digest('hex').slice(0, 16);
const files = [model, ...(lora ? [lora] : [])].map(hashOf).join('+');
const recorded = existsSync(recording)
  ? JSON.parse(readFileSync(recording, 'utf8'))
  : { build: '', answers: {} };
const folder = process.env.ID_LORA_LLAMA_CPP;
const live = folder ? await openLlama() : null;

async function openLlama() {
  const resolve = createRequire(join(folder, 'package.json')).resolve;
  const { getLlama, LlamaLogLevel } = await import(pathToFileURL(resolve('node-llama-cpp')).href);
  const llama = await getLlama({ gpu: false, build: 'never', logLevel: LlamaLogLevel.error, maxThreads: 1 });
  const opened = await llama.loadModel({ modelPath: model, gpuLayers: 0 });
  const context = await opened.createContext({
    contextSize: 128,
    threads: 1,
    flashAttention: false,
    experimentalKvCacheKeyType: 'F32',
    experimentalKvCacheValueType: 'F32',
    ...(lora && { lora: { adapters: [{ filePath: lora, scale: 1 }] } }),
  });
  const sequence = context.getSequence();
  return {
    build: llama.llamaCppRelease.release,
    async answer(prompt, count) {
      await sequence.clearHistory();
      const found = [];
      for await (const token of sequence.evaluate(prompt, { temperature: 0, yieldEogToken: true })) {
        found.push(token);
        if (found.length >= count || opened.isEogToken(token)) break;
      }
      return found;
    },
  };
}

async function answer({ prompt, n_predict: count }) {
  const key = `${files} ${prompt.join()}`;
  if (!live) {
    if (!recorded.answers[key]) throw new Error(`${recording} has no answer for these files and tokens`);
    return recorded.answers[key];
  }
  const tokens = await live.answer(prompt, count);
  if (process.env.ID_LORA_PARITY_RECORD) {
    recorded.build = live.build;
    recorded.answers[key] = tokens;
    const lines = Object.entries(recorded.answers).map((entry) =>
      entry.map((part) => JSON.stringify(part)).join(':'),
    );
    writeFileSync(
      recording,
      `{"build":${JSON.stringify(live.build)},"answers":{\n${lines.join(',\n')}\n}}\n`,
    );
  }
  return tokens;
}

const replies = {
  '/health': () => ({ status: 'ok' }),
  '/props': () => ({ build_info: live?.build ?? recorded.build }),
  '/completion': async (body) => ({ tokens: await answer(body) }),
};

createServer(async (request, response) => {
  const parts = [];
  for await (const part of request) parts.push(part);
  const reply = replies[request.url];
  const isAllowed = request.headers.authorization === `Bearer ${process.env.LLAMA_API_KEY}`;
  try {
    if (!isAllowed || !reply) throw new Error(`${request.url} is refused`);
    const found = await reply(parts.length > 0 ? JSON.parse(Buffer.concat(parts)) : null);
    response.setHeader('content-type', 'application/json').end(JSON.stringify(found));
  } catch (error) {
    console.error(`error: ${error.message}`);
    response.writeHead(500).end();
  }
}).listen(Number(option('port')), option('host'));
