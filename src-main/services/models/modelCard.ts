import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Model } from '../../contract/entities.ts';
import { toPlainError } from '../../contract/errors.ts';
import type { ModelCard } from '../../contract/modelLibrary.ts';
import { readChatTemplate } from '../../formats/model/chatTemplate.ts';
import { readLicence } from '../../formats/model/licence.ts';
import { modelFileNames } from '../../formats/model/modelFiles.ts';
import { checkTokenizer } from '../../formats/model/tokenizer.ts';
import { readModel } from './modelImport.ts';
import type { TokenizerThread } from '../tokenizer/tokenizerThread.ts';

/** What a model's folder says of itself now. A folder that is damaged or gone gives a card that says so. */
export async function readModelCard(model: Model, tokenizers: TokenizerThread): Promise<ModelCard> {
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
    const { config } = readModel(folder);
    const tokenizer = await tokenizers.facts(model);
    checkTokenizer(tokenizer, config);
    return { ...card, bosId: tokenizer.bosId, eosId: tokenizer.eosId };
  } catch (error) {
    return { ...card, unusable: model.unusable ?? toPlainError(error) };
  }
}
