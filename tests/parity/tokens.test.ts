import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { loadTokenizer } from '../../src-main/formats/model/tokenizer.ts';
import { hasSharedData, recorded, sharedData, sharedNote } from '../support/paths.ts';

/** Hashes of the ids of 5,000 texts by transformers, block by block (generator/templates.py). */
const path = join(recorded, 'tokens.json');
const values = (existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : { tokenizers: {} }) as {
  texts: number;
  block: number;
  tokenizers: Record<string, string[]>;
};

function jsonOf(...parts: string[]): unknown {
  return JSON.parse(readFileSync(sharedData(...parts), 'utf8'));
}

function texts(): string[] {
  type Task = { instruction: string; input: string; output: string };
  const { conversations } = JSON.parse(readFileSync(join(recorded, 'templates.json'), 'utf8')) as {
    conversations: { messages: { content: string }[] }[];
  };
  const turns = conversations.flatMap(({ messages }) => messages.map(({ content }) => content));
  const lines = readFileSync(sharedData('gsm8k', 'train.jsonl'), 'utf8').split('\n').slice(0, 1500);
  const sums = lines
    .map((line) => JSON.parse(line) as { question: string; answer: string })
    .map(({ question, answer }) => `${question}\n${answer}`);
  const tasks = (jsonOf('alpaca', 'alpaca_data_subset_2000.json') as Task[])
    .slice(0, 1300)
    .map(({ instruction, input, output }) => `${instruction}\n${input}\n${output}`);
  const code = (jsonOf('codealpaca', 'new_codealpaca.json') as Task[]).map(({ output }) => output);
  return turns.concat(sums, tasks, code).slice(0, values.texts);
}

it.runIf(hasSharedData).each(Object.keys(values.tokenizers))(
  `%s: 5,000 mixed texts are the tokens that transformers makes of them, each where it stands${sharedNote}`,
  (folder) => {
    const all = texts();
    expect(all).toHaveLength(5000);
    const tokenizer = loadTokenizer(sharedData(...folder.split('/')));
    const hashes: string[] = [];
    for (let from = 0; from < all.length; from += values.block) {
      const ids = all
        .slice(from, from + values.block)
        .map((text) => tokenizer.encodeWithEnds(text, { specialTokens: false }).ids);
      hashes.push(createHash('sha256').update(JSON.stringify(ids)).digest('hex').slice(0, 12));
    }
    const differing = hashes.flatMap((hash, i) => (hash === values.tokenizers[folder]![i] ? [] : [i]));
    expect(differing).toEqual([]);
  },
);
