import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { tokenizeExample } from '../../../src-main/data/tokenize.ts';
import { readDecoderConfig } from '../../../src-main/formats/families/huggingFaceConfig.ts';
import { checkTokenizer, loadTokenizer } from '../../../src-main/formats/model/tokenizer.ts';
import { patchedFolder } from '../../support/patchedFolder.ts';
import { hasSharedData, sharedData } from '../../support/paths.ts';
import recorded from './recorded/tokenizers.json' with { type: 'json' };

type Files = Record<string, Record<string, unknown>>;
const special = recorded.special as unknown as {
  what: string;
  files: Files;
  plain: number[][];
  special: number[][];
  roles: [number | null, number | null];
}[];

describe('special tokens, as transformers 5 reads them', () => {
  it.each(special)('$what', ({ files, plain, special, roles }) => {
    const tokenizer = loadTokenizer(patchedFolder('tiny-llama', files));
    expect(tokenizer.bosId).toBe(roles[0]);
    if (roles[1] !== null) expect(tokenizer.endIds).toContain(roles[1]);
    recorded.texts.forEach((text, i) => {
      expect(tokenizer.encode(text, { specialTokens: false })).toEqual(plain[i]);
      // But for two things: a text is not begun twice, and a prompt is not ended.
      const twice = special[i]![0] === 1 && special[i]![1] === 1;
      const begun = special[i]!.slice(twice ? 1 : 0);
      const isEnded = begun.length > plain[i]!.length && begun.at(-1) === 2 && plain[i]!.at(-1) !== 2;
      const isEndedTwice = begun.at(-1) === 2 && begun.at(-2) === 2;
      expect(tokenizer.encode(text, { specialTokens: true })).toEqual(
        isEnded || isEndedTwice ? begun.slice(0, -1) : begun,
      );
    });
  });

  it('spaces are cleaned up where the file says so, and never in BPE', () => {
    for (const { files, text } of recorded.cleaning) {
      const tokenizer = loadTokenizer(patchedFolder('tiny-llama', files as Files));
      expect(tokenizer.decode(tokenizer.encode('x != y , z .', { specialTokens: true }))).toBe(text);
    }
  });
});

describe('the end of a text', () => {
  it.each(recorded.ends)(
    '$config in config.json, $generation: as transformers',
    ({ config, generation, stops }) => {
      const folder = patchedFolder('tiny-llama', { 'config.json': { eos_token_id: config } });
      const path = join(folder, 'generation_config.json');
      if (generation) writeFileSync(path, JSON.stringify(generation));
      else rmSync(path);
      expect(readDecoderConfig(folder).eosIds).toEqual(stops);
      // What training appends is what generation stops at, here and in transformers.
      const { eosId, endIds } = loadTokenizer(folder);
      expect(endIds).toEqual([...stops, ...(stops.includes(2) ? [] : [2])]);
      expect(stops.length > 0 ? stops : [2]).toContain(eosId);
      const { ids } = tokenizeExample(loadTokenizer(folder), { prompt: 'a', answer: 'b' }, true);
      expect(ids.at(-1)).toBe(eosId);
    },
  );
});

const closing = special[1]!.files;

describe('rows, whatever the post-processor adds and the text has', () => {
  const row = (files: Files, prompt: string, answer: string) => {
    const { ids, trained } = tokenizeExample(
      loadTokenizer(patchedFolder('tiny-llama', files)),
      { prompt, answer },
      true,
    );
    return [[...ids], [...trained]];
  };
  const expected = [
    [1, 67, 68, 69, 2],
    [0, 0, 1, 1, 1],
  ];

  it.each([
    ['a', 'bc'],
    ['<s>a', 'bc'],
    ['a', 'bc</s>'],
    ['<s>a', 'bc</s>'],
  ])('%s | %s: begun once, ended once, labels from the answer on', (prompt, answer) => {
    expect(row({}, prompt, answer)).toEqual(expected);
    expect(row(closing, prompt, answer)).toEqual(expected);
  });

  it('a text without a prompt: its beginning is no label, written or not', () => {
    const text = [
      [1, 67, 68, 2],
      [0, 1, 1, 1],
    ];
    for (const files of [{}, closing])
      for (const answer of ['ab', '<s>ab', '<s>ab</s>']) expect(row(files, '', answer)).toEqual(text);
  });

  it('an end in the prompt is none of the answer', () => {
    expect(row({}, 'a</s>', '')).toEqual([
      [1, 67, 2, 2],
      [0, 0, 0, 1],
    ]);
  });
});

describe('the border between prompt and answer, by characters', () => {
  for (const { tokenizer: name, files, pairs } of recorded.borders) {
    const missing = name !== null && !hasSharedData;
    it.skipIf(missing)(name ?? 'tiny-llama with merges', () => {
      const folder =
        name === null ? patchedFolder('tiny-llama', files as unknown as Files) : sharedData(name);
      const tokenizer = loadTokenizer(folder);
      const begin = tokenizer.encode('', { specialTokens: true }).length;
      for (const { prompt, answer, tokens, inPrompt } of pairs) {
        const { ids, trained } = tokenizeExample(tokenizer, { prompt, answer }, false);
        expect([ids.length - begin, trained.indexOf(1) - begin], `${prompt} | ${answer}`).toEqual([
          tokens,
          inPrompt,
        ]);
      }
    });
  }
});

describe('tokens beyond the embedding', () => {
  const files = {
    'tokenizer_config.json': { additional_special_tokens: ['<|x|>', '<|y|>', '<|image|>'] },
  };
  it('refuse the texts that have them, not the model', () => {
    const folder = patchedFolder('tiny-llama', files);
    const tokenizer = loadTokenizer(folder);
    expect(() => checkTokenizer(tokenizer, readDecoderConfig(folder))).not.toThrow();
    expect(tokenizer.encode('a<|y|>', { specialTokens: true })).toEqual([1, 67, 100]);
    expect(() => tokenizer.encode('a<|image|>', { specialTokens: true })).toThrow(
      'The text has the token "<|image|>" (id 101), for which the model has no embedding: it has 101.',
    );
  });
  it('refuse the model where every text would have them, or its vocabulary is another', () => {
    const folder = patchedFolder('tiny-llama', { ...files, 'config.json': { vocab_size: 98 } });
    expect(() => checkTokenizer(loadTokenizer(folder), readDecoderConfig(folder))).toThrow(
      /ids up to 98.* 98/,
    );
  });
});

describe('a folder without tokenizer.json', () => {
  it.each(['tokenizer.model', 'vocab.json'])('%s is named, with what makes the other of it', (other) => {
    const folder = patchedFolder('tiny-llama', {});
    rmSync(join(folder, 'tokenizer.json'));
    writeFileSync(join(folder, other), '{}');
    try {
      loadTokenizer(folder);
      expect.unreachable();
    } catch (error) {
      expect(error).toMatchObject({
        code: 'model_invalid',
        message: expect.stringContaining(`as ${other} only`) as string,
        remedy: expect.stringContaining('save_pretrained') as string,
      });
    }
  });
});
