import { brokenRow, longestRow, type ByteSource, type ReaderOptions, type SourceRow } from './source.ts';
import { textPieces } from './textPieces.ts';

/** A plain text is cut at empty lines into pieces of at most so many characters. */
export const longestPiece = 4000;

/** Rows of a plain text: pieces that end at an empty line, or before a heading where it is Markdown. */
export async function* textRows(
  source: ByteSource,
  isMarkdown: boolean,
  options: ReaderOptions,
): AsyncGenerator<SourceRow> {
  let number = 1; // line at which the piece begins
  let line = 0;
  let lines: string[] = [];
  let length = 0;
  let paragraph: string[] = [];

  const flush = function* (): Generator<SourceRow> {
    const text = lines.join('\n').trim();
    if (text !== '') yield { number, value: { text }, broken: null };
    [lines, length] = [[], 0];
  };
  const endParagraph = function* (): Generator<SourceRow> {
    const size = paragraph.reduce((sum, one) => sum + one.length + 1, 0);
    if (size === 0) return;
    if (length > 0 && length + size > longestPiece) yield* flush();
    if (lines.length === 0) number = line - paragraph.length + 1;
    for (const one of paragraph) lines.push(one);
    lines.push('');
    length += size + 1;
    paragraph = [];
  };

  let rest = '';
  for await (const piece of textPieces(source, options.encoding)) {
    const parts = (rest + piece).split('\n');
    rest = parts.pop()!;
    if (rest.length > longestRow) {
      yield brokenRow(line + 1, 'too_long', rest);
      return;
    }
    for (const part of parts) {
      const text = part.replace(/\r$/, '');
      if (isMarkdown && /^#{1,6} /.test(text)) {
        yield* endParagraph();
        yield* flush();
      }
      if (text.trim() === '') yield* endParagraph();
      line++;
      if (text.trim() !== '') paragraph.push(text);
    }
  }
  if (rest.trim() !== '') {
    line++;
    paragraph.push(rest);
  }
  yield* endParagraph();
  yield* flush();
}
