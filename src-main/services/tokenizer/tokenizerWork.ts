import type { PreviewRow } from '../../contract/datasets/previews.ts';
import { StudioError, type PlainError } from '../../contract/errors.ts';
import type { ProcedureOutput } from '../../contract/procedures.ts';
import type { TokenPiece } from '../../contract/modelLibrary.ts';
import type { Row, Turn } from '../../contract/rows.ts';
import type { Template, Truncation } from '../../contract/templates.ts';
import { TemplateError } from '../../data/rendering/jinjaTemplate.ts';
import { createRenderer, type Renderer, type Rendering } from '../../data/rendering/renderer.ts';
import { charactersOf, tokenizeRow, type TokenizedRow } from '../../data/rendering/tokenizeRow.ts';
import { cutToContext } from '../../data/tokenize.ts';
import { readModelTemplate } from '../../formats/model/chatTemplate.ts';
import { stampOf } from '../../formats/model/identity.ts';
import { loadTokenizer, type Tokenizer } from '../../formats/model/tokenizer.ts';
import { beginText, type TextClock } from './textClock.ts';

/** What a model's tokenizer is like. */
export type TokenizerFacts = Pick<Tokenizer, 'vocabularySize' | 'bosId' | 'eosId' | 'endIds'>;

export type TokenizerWork =
  | { kind: 'tokenize'; folder: string; text: string; specialTokens: boolean }
  | { kind: 'encode'; folder: string; texts: readonly string[] }
  | { kind: 'pairs'; folder: string; prompts: readonly ContinuedText[] }
  | { kind: 'rows'; folder: string; rows: readonly Row[]; rendering: Rendering }
  | { kind: 'prompts'; folder: string; chats: readonly Chat[]; rendering: Rendering }
  | { kind: 'preview'; folder: string; rows: readonly Row[]; how: PreviewSettings }
  | { kind: 'check'; folder: string; template: Template }
  | { kind: 'renderer'; folder: string; rendering: Rendering }
  | { kind: 'facts'; folder: string };

/** A conversation that the assistant is to go on with. */
export interface Chat {
  turns: readonly Turn[];
  tools?: readonly unknown[];
}

/** How rows are shown. */
export interface PreviewSettings {
  rendering: Rendering;
  context: number;
  truncation: Truncation;
}

export type TemplateCheck = ProcedureOutput<'templates.check'>;

export type ShownRow = Omit<PreviewRow, 'index'>;

/** What a model is asked: the text through the template, and its tokens. */
export interface ChatPrompt {
  text: string;
  ids: number[];
  /** The tokenizer's first tokens (BOS) are put before the text. */
  begin: boolean;
}

/** A text, and others that may stand behind it. */
export interface ContinuedText {
  text: string;
  specialTokens: boolean;
  continuations: readonly string[];
}

/** Its tokens, and those that each of the others adds. */
export interface ContinuedIds {
  ids: number[];
  continuations: number[][];
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
    case 'pairs':
      return work.prompts.map((prompt) => {
        beginText(clock, prompt.text.length);
        return continuedIds(tokenizer, prompt);
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
        return { text, begin, ids: tokenizer.encode(text, { specialTokens: begin }) };
      });
    }
    case 'preview': {
      const renderer = rendererFor(clock, work.folder, tokenizer, work.how.rendering);
      return work.rows.map((row) => {
        beginText(clock, charactersOf(row));
        return shownRow(tokenizer, tokenizeRow(tokenizer, renderer, row), work.how);
      });
    }
    case 'check':
      beginText(clock, null);
      return checkTemplate(tokenizer, work.template);
    case 'renderer':
      return rendererFor(clock, work.folder, tokenizer, work.rendering).facts;
    case 'facts': {
      const { vocabularySize, bosId, eosId, endIds } = tokenizer;
      return { vocabularySize, bosId, eosId, endIds };
    }
  }
}

/**
 * As lm-evaluation-harness splits them: spaces at the end of a text go to what continues it, both are cut into tokens
 * as one text, and so many tokens as the text has alone are its own.
 */
function continuedIds(
  tokenizer: Tokenizer,
  { text, specialTokens, continuations }: ContinuedText,
): ContinuedIds {
  if (continuations.length === 0)
    return { ids: tokenizer.encode(text, { specialTokens }), continuations: [] };
  const context = text.trimEnd();
  const spaces = text.slice(context.length);
  const ids = tokenizer.encode(context, { specialTokens });
  const added = continuations.map((continuation) =>
    tokenizer.encode(context + spaces + continuation, { specialTokens }).slice(ids.length),
  );
  return { ids, continuations: added };
}

/** What a template of one's own is tried with. */
const shortChat: readonly Turn[] = [
  { role: 'user', content: 'What is 2 + 2?' },
  { role: 'assistant', content: '4' },
  { role: 'user', content: 'And twice that?' },
  { role: 'assistant', content: '8' },
];

function checkTemplate(tokenizer: Tokenizer, template: Template): TemplateCheck {
  try {
    const renderer = createRenderer(tokenizer, null, { template, trainOn: 'assistant', format: null });
    const { text } = renderer.row({ kind: 'chat', turns: [...shortChat] });
    return { problem: null, facts: renderer.facts, example: text };
  } catch (error) {
    const reason = error instanceof StudioError ? (error.cause ?? error) : error;
    if (!(reason instanceof TemplateError) && !(reason instanceof StudioError)) throw error;
    const line = reason instanceof TemplateError ? reason.line : null;
    return { problem: { message: reason.message, line }, facts: null, example: null };
  }
}

function shownRow(
  tokenizer: Tokenizer,
  whole: TokenizedRow,
  { context, truncation }: PreviewSettings,
): ShownRow {
  const kept = cutToContext(whole, context, truncation);
  const from = kept && truncation === 'left' ? whole.ids.length - kept.ids.length : 0;
  const to = kept ? from + kept.ids.length : 0;
  const ids = [...(kept?.ids ?? [])];
  const trained = Array.from(kept?.trained ?? [], (flag) => (flag === 1 ? 1 : 0));
  // The first token is never predicted.
  const isTrained = trained.indexOf(1, 1) > 0;
  return {
    ids,
    trained,
    text: tokenizer.decode(ids, { specialTokens: true }),
    isCut: whole.refused === undefined && to - from < whole.ids.length,
    leftOut:
      whole.refused !== undefined
        ? 'refused'
        : kept === null
          ? 'too_long'
          : isTrained
            ? null
            : 'nothing_trained',
    refusal: whole.refused ?? null,
    tokens: whole.ids.length,
    trainedTokens: whole.trained.reduce((total, flag) => total + flag, 0),
    pieces: piecesOf(tokenizer, [...whole.ids]).map((piece, i) => ({
      ...piece,
      isTrained: whole.trained[i] === 1,
      isKept: i >= from && i < to,
    })),
  };
}

/** A text as the pieces that a tokenizer cuts it into. */
function tokenPieces(tokenizer: Tokenizer, text: string, specialTokens: boolean): TokenPiece[] {
  return piecesOf(tokenizer, tokenizer.encode(text, { specialTokens }));
}

function piecesOf(tokenizer: Tokenizer, ids: readonly number[]): TokenPiece[] {
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
