import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Model } from '../contract/entities.ts';
import { toPlainError } from '../contract/errors.ts';
import type { ModelCard } from '../contract/modelLibrary.ts';
import { readChatTemplate } from '../formats/chatTemplate.ts';
import { readLicence } from '../formats/licence.ts';
import { modelFileNames } from '../formats/modelFiles.ts';
import { loadTokenizer } from '../formats/tokenizer.ts';
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
