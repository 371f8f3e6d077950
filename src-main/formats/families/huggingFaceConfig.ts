import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { readJsonObject } from '../files/jsonFile.ts';
import { hasOwnHead } from '../model/weightFolder.ts';
import type { DecoderConfig } from './decoderConfig.ts';
import { decoderConfigOf, idsOf, readFamily } from './decoderConfigOf.ts';
import { idList } from './family.ts';
import { refuseByName } from './unsupportedModels.ts';

/**
 * Reads config.json of a Hugging Face folder, and what other files of the folder say in its place.
 * @throws StudioError model_invalid: missing or impossible values; model_unsupported: an architecture or option the
 * engine lacks
 */
export function readDecoderConfig(folder: string): DecoderConfig {
  const raw = readConfigFile(folder);
  refuseByName(raw);
  return decoderConfigOf(raw, {
    hasOwnHead: () => hasOwnHead(folder),
    generationEndIds: generationEndIds(folder),
  });
}

/** What the folder's configuration says of facts that other files of it state, too. */
export interface Statements {
  /** Whether the output layer is the embedding, and whether config.json says so or its family's default. */
  tie: { isTied: boolean; isStated: boolean; family: string };
  /** End tokens by file; those without any are left out. */
  ends: { file: string; ids: readonly number[] }[];
}

/** @throws StudioError model_invalid, model_unsupported */
export function readStatements(folder: string): Statements {
  const raw = readConfigFile(folder);
  const { keys, shape } = readFamily(raw);
  const ends = [
    { file: 'generation_config.json', ids: generationEndIds(folder) ?? [] },
    { file: 'config.json', ids: idsOf(keys.eos_token_id) },
  ];
  return {
    tie: {
      isTied: shape.tieEmbeddings,
      isStated: keys.tie_word_embeddings != null,
      family: raw['model_type'] as string,
    },
    ends: ends.filter(({ ids }) => ids.length > 0),
  };
}

function readConfigFile(folder: string): Record<string, unknown> {
  return readJsonObject(join(folder, 'config.json'), 10 * 1024 * 1024, 'model_invalid');
}

/** Where generation_config.json names end tokens, transformers stops at no others. Null: it names none. */
function generationEndIds(folder: string): number[] | null {
  const path = join(folder, 'generation_config.json');
  if (!existsSync(path)) return null;
  const parsed = idList.safeParse(readJsonObject(path, 1024 * 1024, 'model_invalid')['eos_token_id']);
  const ids = parsed.success ? idsOf(parsed.data) : [];
  return ids.length > 0 ? ids : null;
}
