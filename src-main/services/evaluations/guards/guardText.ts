import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { ScoredData } from '../../../contract/inputs.ts';
import { writeFileAtomic } from '../../../formats/files/atomicFile.ts';
import type { ServiceContext } from '../../context.ts';
import type { DatasetService } from '../../data/datasetService.ts';
import { givenData } from '../evaluationData.ts';

/** Characters of a passage, some 100 to 300 tokens: it fits into any context, and most words have others before. */
const [leastPassage, mostPassage] = [400, 1200];
/** To be raised when texts are cut otherwise. */
const cutVersion = 1;

/**
 * Data of plain texts as passages: a book would be one item, of which the model reads the begin, and one item says
 * nothing of others. Rows of other kinds stay as they are.
 */
export async function asPassages(
  { paths }: Pick<ServiceContext, 'paths'>,
  datasets: DatasetService,
  given: ScoredData,
): Promise<ScoredData> {
  const data = await givenData(datasets, given);
  const name = basename(data.path).replace(/[^\w.-]+/g, '_');
  const folder = join(paths.cache, 'passages', `${data.hash.slice(0, 16)}-${cutVersion}`);
  const path = join(folder, `${name}.jsonl`);
  if (existsSync(path)) return { path };
  const passages: string[] = [];
  for await (const { row } of data.rows()) {
    if (row.kind !== 'text') return given;
    for (const passage of passagesOf(row.text)) passages.push(passage);
  }
  writeFileAtomic(path, passages.map((text) => `${JSON.stringify({ text })}\n`).join(''));
  return { path };
}

/** A text in passages: paragraphs together up to a length, and longer ones cut between words. */
export function passagesOf(text: string): string[] {
  const passages: string[] = [];
  let open = '';
  for (const paragraph of text.split(/\n\s*\n/).flatMap(shortened)) {
    open = open === '' ? paragraph : `${open}\n\n${paragraph}`;
    if (open.length < leastPassage) continue;
    passages.push(open);
    open = '';
  }
  // A short rest belongs to what stands before it.
  if (open !== '' && passages.length > 0) passages.push(`${passages.pop()}\n\n${open}`);
  else if (open !== '') passages.push(open);
  return passages;
}

function shortened(paragraph: string): string[] {
  const parts: string[] = [];
  let rest = paragraph.trim();
  while (rest.length > mostPassage) {
    const space = rest.lastIndexOf(' ', mostPassage);
    const end = space > 0 ? space : mostPassage;
    parts.push(rest.slice(0, end));
    rest = rest.slice(end).trimStart();
  }
  return rest === '' ? parts : [...parts, rest];
}
