import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { StudioError, type ErrorCode } from '../../contract/errors.ts';
import { decodeText, EncodingError } from '../../contract/datasets/textEncoding.ts';
import { foreignFile, targetOf } from './foreignFile.ts';

/** Reads a JSON object from a file of at most `maxBytes`. @throws StudioError with `code` where it is none */
export function readJsonObject(path: string, maxBytes: number, code: ErrorCode): Record<string, unknown> {
  const fail = (what: string) => {
    const foreign = foreignFile(path);
    return new StudioError(
      code,
      `${basename(path)} ${foreign?.what ?? what}.`,
      foreign?.remedy ?? `Correct ${path}, or take the file from where the others of its folder come from.`,
    );
  };
  const stats = targetOf(path);
  if (!stats?.isFile()) throw fail('does not exist');
  if (stats.size > maxBytes) throw fail(`has ${stats.size} bytes; at most ${maxBytes} are read`);
  let value: unknown;
  try {
    value = JSON.parse(decodeText(readFileSync(path)));
  } catch (error) {
    if (error instanceof EncodingError) throw fail(error.message);
    throw fail(`is not JSON (${error instanceof Error ? error.message : String(error)})`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw fail('is not a JSON object');
  return value as Record<string, unknown>;
}
