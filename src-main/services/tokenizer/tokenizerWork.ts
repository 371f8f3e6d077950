import type { PlainError } from '../../contract/errors.ts';
import type { TokenPiece } from '../../contract/modelLibrary.ts';
import type { Row, Turn } from '../../contract/rows.ts';
import { createRenderer, type Renderer, type Rendering } from '../../data/rendering/renderer.ts';
import { charactersOf, tokenizeRow } from '../../data/rendering/tokenizeRow.ts';
import { readModelTemplate } from '../../formats/model/chatTemplate.ts';
import { stampOf } from '../../formats/model/identity.ts';
import { loadTokenizer, type Tokenizer } from '../../formats/model/tokenizer.ts';
import { beginText, type TextClock } from './textClock.ts';

/** What a model's tokenizer is like. */
export type TokenizerFacts = Pick<Tokenizer, 'vocabularySize' | 'bosId' | 'eosId'>;

export type TokenizerWork =
  | { kind: 'tokenize'; folder: string; text: string; specialTokens: boolean }
  | { kind: 'encode'; folder: string; texts: readonly string[] }
  | { kind: 'rows'; folder: string; rows: readonly Row[]; rendering: Rendering }
  | { kind: 'prompts'; folder: string; chats: readonly Chat[]; rendering: Rendering }
  | { kind: 'renderer'; folder: string; rendering: Rendering }
  | { kind: 'facts'; folder: string };

/** A conversation that the assistant is to go on with. */
export interface Chat {
  turns: readonly Turn[];
  tools?: readonly unknown[];
}

/** What a model is asked: the text through the template, and its tokens. */
export interface ChatPrompt {
  text: string;
  ids: number[];
}

export interface ThreadRequest {
  id: number;
  work: TokenizerWork;
}

export type ThreadAnswer =
  { id: number; value: unknown; error: null } | { id: number; value: null; error: PlainError };

/** The last one is kept: a person tries several texts, a job has many. */
let last: { key: string; tokenizer: Tokenizer } | null = null;
let lastRenderer: { key: string; renderer: Renderer } | null = null;

/** What a tokenizer depends on. */
const tokenizerFiles = [
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'config.json',
  'generation_config.json',
];

function load(clock: TextClock, folder: string): Tokenizer {
  beginText(clock, null);
  const key = stampOf(folder, tokenizerFiles);
  if (last?.key !== key) last = { key, tokenizer: loadTokenizer(folder) };
  return last.tokenizer;
}

/** What else a template depends on. */
const templateFiles = ['chat_template.jinja', 'chat_template.json', 'additional_chat_templates'];

function rendererFor(clock: TextClock, folder: string, tokenizer: Tokenizer, rendering: Rendering): Renderer {
  beginText(clock, null);
  const key = JSON.stringify([last!.key, stampOf(folder, templateFiles), rendering]);
  if (lastRenderer?.key !== key) {
    // One that failed before is tried again.
    lastRenderer = null;
    lastRenderer = { key, renderer: createRenderer(tokenizer, readModelTemplate(folder), rendering) };
  }
  return lastRenderer.renderer;
}

/** Does what was asked for; each text that is begun is told to the clock. */
export function doTokenizerWork(clock: TextClock, work: TokenizerWork): unknown {
  const tokenizer = load(clock, work.folder);
  switch (work.kind) {
    case 'tokenize':
      beginText(clock, work.text.length);
      return tokenPieces(tokenizer, work.text, work.specialTokens);
    case 'encode':
      return work.texts.map((text) => {
        beginText(clock, text.length);
        return tokenizer.encode(text, { specialTokens: true });
      });
    case 'rows': {
      const renderer = rendererFor(clock, work.folder, tokenizer, work.rendering);
      return work.rows.map((row) => {
        beginText(clock, charactersOf(row));
        return tokenizeRow(tokenizer, renderer, row);
      });
    }
    case 'prompts': {
      const renderer = rendererFor(clock, work.folder, tokenizer, work.rendering);
      return work.chats.map(({ turns, tools }): ChatPrompt => {
        beginText(clock, charactersOf({ kind: 'chat', turns: [...turns] }));
        const { text, begin } = renderer.prompt(turns, tools);
        return { text, ids: tokenizer.encode(text, { specialTokens: begin }) };
      });
    }
    case 'renderer':
      return rendererFor(clock, work.folder, tokenizer, work.rendering).facts;
    case 'facts': {
      const { vocabularySize, bosId, eosId } = tokenizer;
      return { vocabularySize, bosId, eosId };
    }
  }
}

/** A text as the pieces that a tokenizer cuts it into. */
function tokenPieces(tokenizer: Tokenizer, text: string, specialTokens: boolean): TokenPiece[] {
  const ids = tokenizer.encode(text, { specialTokens });
  return ids.map((id, i) => {
    const entry = tokenizer.entryOf(id) ?? '';
    const alone = tokenizer.decode([id]);
    if (alone === '') return { id, text: entry, entry, isSpecial: true };
    // A decoder drops the space at a text's begin: what a token adds is seen behind the one before it.
    const before = i === 0 ? '' : tokenizer.decode([ids[i - 1]!]);
    const both = i === 0 ? alone : tokenizer.decode([ids[i - 1]!, id]);
    const added = both.startsWith(before) && before !== '' ? both.slice(before.length) : alone;
    return { id, text: added === '' || added.includes('\uFFFD') ? entry : added, entry, isSpecial: false };
  });
}
