import type { TokenPiece } from '../../contract/modelLibrary.ts';
import type { Tokenizer } from '../../formats/model/tokenizer.ts';

/** A text as the pieces that a tokenizer cuts it into. */
export function tokenPieces(tokenizer: Tokenizer, text: string, specialTokens: boolean): TokenPiece[] {
  const ids = tokenizer.encode(text, { specialTokens });
  return ids.map((id, i) => {
    const entry = tokenizer.entryOf(id) ?? '';
    const alone = tokenizer.decode([id]);
    if (alone === '') return { id, text: entry, entry, isSpecial: true };
    // A decoder drops the space at a text's begin: what a token adds is seen behind the one before it.
    const before = i === 0 ? '' : tokenizer.decode([ids[i - 1]!]);
    const both = i === 0 ? alone : tokenizer.decode([ids[i - 1]!, id]);
    const added = both.startsWith(before) && before !== '' ? both.slice(before.length) : alone;
    return { id, text: added === '' || added.includes('\uFFFD') ? entry : added, entry, isSpecial: false };
  });
}
