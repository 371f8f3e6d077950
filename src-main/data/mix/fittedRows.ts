import type { Truncation } from '../../contract/templates.ts';
import { cutToContext } from '../tokenize.ts';
import { labelCount, type TokenFileReader } from '../../formats/files/tokenFile.ts';

/** The rows of a token file as a run sees them: cut to its context. */
export interface FittedRows {
  /** Content of each row, as a number. */
  keys: Float64Array;
  /** Tokens of each row, whole and cut; labels of each, whole and cut. */
  wholeTokens: Uint32Array;
  tokens: Uint32Array;
  wholeLabels: Uint32Array;
  /** 0: the row is not trained on. */
  labels: Uint32Array;
}

/** Reads only rows that are longer than the context: of the others the file tells all. */
export function fitRows(file: TokenFileReader, context: number, truncation: Truncation): FittedRows {
  const wholeTokens = Uint32Array.from(file.labels, (_, row) => file.length(row));
  const tokens = wholeTokens.slice();
  const labels = file.labels.slice();
  for (let row = 0; row < file.rowCount; row++) {
    if (wholeTokens[row]! <= context) continue;
    const cut = truncation === 'drop' ? null : cutToContext(file.row(row), context, truncation);
    tokens[row] = cut ? context : 0;
    labels[row] = cut ? labelCount(cut) : 0;
  }
  return { keys: file.keys, wholeTokens, tokens, wholeLabels: file.labels, labels };
}
