import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Model } from '../contract/entities.ts';
import { toPlainError } from '../contract/errors.ts';
import type { ModelCard, TokenPiece } from '../contract/modelLibrary.ts';
import { readChatTemplate } from '../formats/chatTemplate.ts';
import { readLicence } from '../formats/licence.ts';
import { modelFileNames } from '../formats/modelFiles.ts';
import { loadTokenizer, type Tokenizer } from '../formats/tokenizer.ts';
import { readModel } from './modelImport.ts';

/** What a model's folder says of itself now. A folder that is damaged or gone gives a card that says so. */
export function readModelCard(model: Model): ModelCard {
  const card: ModelCard = {
    unusable: model.unusable,
    licence: null,
    chatTemplate: null,
    files: [],
    bosId: null,
    eosId: null,
  };
  if (!existsSync(model.folder)) return card;
  const { folder } = model;
  try {
    Object.assign(card, { licence: readLicence(folder), chatTemplate: readChatTemplate(folder) });
    card.files = modelFileNames(folder).map((name) => ({
      name,
      sizeBytes: statSync(join(folder, name)).size,
    }));
    readModel(folder);
    const { bosId, eosId } = loadTokenizer(folder);
    return { ...card, bosId, eosId };
  } catch (error) {
    return { ...card, unusable: model.unusable ?? toPlainError(error) };
  }
}

/** The last tokenizer that was asked for: large ones take a second to load, and a person tries several texts. */
let lastTokenizer: { key: string; tokenizer: Tokenizer } | null = null;

/** Cuts a text into the model's tokens. */
export function tokenize(model: Model, text: string, specialTokens: boolean): TokenPiece[] {
  const path = join(model.folder, 'tokenizer.json');
  const key = `${path} ${statSync(path).mtimeMs}`;
  if (lastTokenizer?.key !== key) lastTokenizer = { key, tokenizer: loadTokenizer(model.folder) };
  const { tokenizer } = lastTokenizer;
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
