import { isObject } from '../mapping/fields.ts';
import { brokenRow, type SourceRow } from './source.ts';

/** Longer texts are not searched for NaN. */
const longestSearched = 1024 * 1024;

/** A row from the text of a JSON object. NaN and infinities, which Python writes and JSON does not know, are null. */
export function parseRow(number: number, text: string): SourceRow {
  let value: unknown;
  try {
    value = parseJson(text);
  } catch (error) {
    // The text itself is in the message; where it stands is said by the row.
    const message = error instanceof Error ? error.message : String(error);
    if (error instanceof RangeError) return brokenRow(number, 'too_deep', text);
    return brokenRow(number, 'not_json', text, message.replace(/\.{3}[\s\S]*$| in JSON at[\s\S]*$/, ''));
  }
  return isObject(value)
    ? { number, value, broken: null }
    : brokenRow(number, 'not_object', text, Array.isArray(value) ? 'a list' : typeof value);
}

/** @throws SyntaxError, RangeError */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    if (text.length > longestSearched || !/\b(?:NaN|Infinity)\b/.test(text)) throw error;
    const plain = text.replace(/"(?:[^"\\]|\\.)*"|-?\b(?:NaN|Infinity)\b/g, (found) =>
      found.startsWith('"') ? found : 'null',
    );
    return JSON.parse(plain) as unknown;
  }
}
