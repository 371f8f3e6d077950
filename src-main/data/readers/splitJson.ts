import { longestRow } from './source.ts';

/** The text of one value within a larger one. */
export interface JsonPart {
  /** The field that it stands in; null in a list. */
  field: string | null;
  /** Null where it is too long to be held. */
  text: string | null;
  /** Its begin, for messages. */
  begin: string;
  /** False where the file ends in the middle of it. */
  isComplete: boolean;
}

const quote = 0x22;
const backslash = 0x5c;
const comma = 0x2c;
const colon = 0x3a;
const openBrace = 0x7b;
const closeBrace = 0x7d;
const openBracket = 0x5b;
const closeBracket = 0x5d;

/**
 * Cuts JSON into the values at a depth, without holding more than one: entries of a list (depth 1), values of fields
 * (depth 1 of an object), entries of lists in fields (depth 2), or values one behind the other (depth 0). What is cut
 * out is not checked; a value that is no JSON does no harm to the others as long as its brackets are even.
 */
export async function* splitJson(pieces: AsyncIterable<string>, depth: 0 | 1 | 2): AsyncGenerator<JsonPart> {
  let level = 0;
  let inString = false;
  let isEscaped = false;
  let isObject = false; // what encloses level 1
  let expectsKey = false;
  let key = '';
  let isKey = false;
  let field: string | null = null;
  // The value under way: what earlier pieces have of it.
  let parts: string[] = [];
  let length = 0;
  let begin = '';
  let isOpen = false;

  const take = (text: string) => {
    if (begin.length < 300) begin += text.slice(0, 300 - begin.length);
    length += text.length;
    if (length <= longestRow) parts.push(text);
    else parts = [];
  };
  const finish = (isComplete: boolean): JsonPart => {
    const text = length > longestRow ? null : parts.join('').trim();
    const part = { field, text, begin, isComplete };
    [parts, length, begin, isOpen] = [[], 0, '', false];
    return part;
  };

  for await (const piece of pieces) {
    let from = isOpen ? 0 : -1;
    for (let i = 0; i < piece.length; i++) {
      const code = piece.charCodeAt(i);
      if (inString) {
        if (isKey && (code !== quote || isEscaped)) key += piece[i]!;
        if (isEscaped) isEscaped = false;
        else if (code === backslash) isEscaped = true;
        else if (code === quote) {
          inString = false;
          if (isKey) {
            isKey = false;
            field = unquoted(key);
          }
        }
        continue;
      }
      if (code <= 0x20) continue;
      if (code === closeBrace || code === closeBracket) {
        level--;
        if (isOpen && level < depth) {
          // The end of what encloses it.
          take(piece.slice(from, i));
          from = -1;
          yield finish(true);
        } else if (isOpen && level === depth && depth === 0) {
          take(piece.slice(from, i + 1));
          from = -1;
          yield finish(true);
        }
        if (level === 1 && depth === 2) field = null;
        if (level < 0) level = 0;
        continue;
      }
      if (code === comma && level === depth && depth > 0) {
        if (isOpen) {
          take(piece.slice(from, i));
          from = -1;
          yield finish(true);
        }
        if (level === 1) expectsKey = isObject;
        continue;
      }
      if (code === comma && level === 1) {
        expectsKey = isObject;
        continue;
      }
      if (level === 1 && isObject && expectsKey) {
        if (code === quote) {
          [inString, isKey, key] = [true, true, ''];
          continue;
        }
        if (code === colon) {
          expectsKey = false;
          continue;
        }
      }
      // Something of a value.
      if (!isOpen && level === depth && (depth < 2 || field !== null)) {
        isOpen = true;
        from = i;
      }
      if (code === quote) inString = true;
      else if (code === openBrace || code === openBracket) {
        level++;
        if (level === 1) {
          isObject = code === openBrace;
          expectsKey = isObject;
        }
        // Only lists in fields are cut.
        if (level === 2 && depth === 2 && code === openBrace) field = null;
      }
    }
    if (isOpen) take(piece.slice(from));
  }
  if (isOpen) yield finish(depth === 0 && level === 0 && !inString);
}

function unquoted(text: string): string {
  try {
    return JSON.parse(`"${text}"`) as string;
  } catch {
    return text;
  }
}
