import { expect, it } from 'vitest';
import { classify } from '../../../../src-renderer/features/drop/dropped.ts';

it.each<[string, boolean, 'model' | 'dataset', string]>([
  ['/home/me/Llama', true, 'model', '/home/me/Llama'],
  ['/home/me/data.folder.jsonl', true, 'model', '/home/me/data.folder.jsonl'],
  ['/home/me/train.jsonl', false, 'dataset', '/home/me/train.jsonl'],
  ['/home/me/my.config.json', false, 'dataset', '/home/me/my.config.json'],
  ['/home/me/Llama/model-00001-of-00002.safetensors', false, 'model', '/home/me/Llama'],
  ['/home/me/Llama/config.json', false, 'model', '/home/me/Llama'],
  ['C:\\models\\Llama\\tokenizer.json', false, 'model', 'C:\\models\\Llama'],
  ['/home/me/llama.Q4.gguf', false, 'model', '/home/me/llama.Q4.gguf'],
  ['model.safetensors', false, 'model', 'model.safetensors'],
])('%s', (path, isFolder, kind, place) => {
  expect(classify(path, isFolder)).toEqual({ kind, path: place });
});
