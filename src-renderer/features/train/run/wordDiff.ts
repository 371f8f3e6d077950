/** A stretch of two texts: in both, or in one of them. */
export interface DiffPart {
  kind: 'both' | 'before' | 'after';
  text: string;
}

/** Words with the space behind them. Two texts of more words than this are set against each other as wholes. */
const mostWords = 1500;

/**
 * How one text became another, word by word: the longest common subsequence of their words is what both have.
 * @returns parts in order; those of `both` and `before` make up the first text, those of `both` and `after` the second
 */
export function wordDiff(before: string, after: string): DiffPart[] {
  const [a, b] = [wordsOf(before), wordsOf(after)];
  if (Math.max(a.length, b.length) > mostWords) return joined([part('before', before), part('after', after)]);
  // common[i][j]: words that a from i on and b from j on have in common.
  const width = b.length + 1;
  const common = new Uint16Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i--)
    for (let j = b.length - 1; j >= 0; j--)
      common[i * width + j] =
        a[i] === b[j]
          ? common[(i + 1) * width + j + 1]! + 1
          : Math.max(common[(i + 1) * width + j]!, common[i * width + j + 1]!);
  const parts: DiffPart[] = [];
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      parts.push(part('both', a[i++]!));
      j++;
    } else if (j === b.length || (i < a.length && common[(i + 1) * width + j]! >= common[i * width + j + 1]!))
      parts.push(part('before', a[i++]!));
    else parts.push(part('after', b[j++]!));
  }
  return joined(parts);
}

function wordsOf(text: string): string[] {
  return text.match(/\s*\S+|\s+$/g) ?? [];
}

function part(kind: DiffPart['kind'], text: string): DiffPart {
  return { kind, text };
}

/** Neighbours of one kind as one part; nothing empty. */
function joined(parts: readonly DiffPart[]): DiffPart[] {
  const result: DiffPart[] = [];
  for (const { kind, text } of parts) {
    const last = result.at(-1);
    if (text === '') continue;
    if (last?.kind === kind) last.text += text;
    else result.push({ kind, text });
  }
  return result;
}
