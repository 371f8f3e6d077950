import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { readJsonObject } from '../files/jsonFile.ts';
import { hasOwnHead } from '../model/weightFolder.ts';
import type { DecoderConfig } from './decoderConfig.ts';
import { decoderConfigOf, idsOf } from './decoderConfigOf.ts';
import { idList } from './family.ts';
import { refuseByName } from './unsupportedModels.ts';

/**
 * Reads config.json of a Hugging Face folder, and what other files of the folder say in its place.
 * @throws StudioError model_invalid: missing or impossible values; model_unsupported: an architecture or option the
 * engine lacks
 */
export function readDecoderConfig(folder: string): DecoderConfig {
  const raw = readJsonObject(join(folder, 'config.json'), 10 * 1024 * 1024, 'model_invalid');
  refuseByName(raw);
  return decoderConfigOf(raw, {
    hasOwnHead: () => hasOwnHead(folder),
    generationEndIds: generationEndIds(folder),
  });
}

/** Where generation_config.json names end tokens, transformers stops at no others. Null: it names none. */
function generationEndIds(folder: string): number[] | null {
  const path = join(folder, 'generation_config.json');
  if (!existsSync(path)) return null;
  const parsed = idList.safeParse(readJsonObject(path, 1024 * 1024, 'model_invalid')['eos_token_id']);
  const ids = parsed.success ? idsOf(parsed.data) : [];
  return ids.length > 0 ? ids : null;
}
