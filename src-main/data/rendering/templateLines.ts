import { parse, tokenize } from '@huggingface/jinja';

/** The library says what is wrong with a template, but not where. */

/** A tag of a template: `{{ }}`, `{% %}` or `{# #}`. */
export interface Tag {
  kind: 'statement' | 'expression' | 'comment';
  begin: number;
  /** Behind its closing bracket; the source's length where it has none. */
  end: number;
}

const closing = { statement: '%}', expression: '}}', comment: '#}' } as const;
const kinds = { '%': 'statement', '{': 'expression', '#': 'comment' } as const;

/** The tags of a template in their order. */
export function tagsOf(source: string): Tag[] {
  const tags: Tag[] = [];
  for (let at = source.indexOf('{'); at >= 0; at = source.indexOf('{', at)) {
    const kind = kinds[source[at + 1] as keyof typeof kinds];
    if (!kind) {
      at++;
      continue;
    }
    const end = endOfTag(source, at + 2, kind);
    tags.push({ kind, begin: at, end });
    at = end;
  }
  return tags;
}

/** Brackets inside strings close nothing. */
function endOfTag(source: string, from: number, kind: Tag['kind']): number {
  let quote: string | null = null;
  let depth = 0;
  for (let at = from; at < source.length; at++) {
    const letter = source[at]!;
    if (quote !== null) {
      if (letter === '\\') at++;
      else if (letter === quote) quote = null;
      continue;
    }
    if (depth === 0 && source.startsWith(closing[kind], at)) return at + 2;
    if (kind === 'comment') continue;
    if (letter === '"' || letter === "'") quote = letter;
    else if (letter === '{') depth++;
    else if (letter === '}' && depth > 0) depth--;
  }
  return source.length;
}

function lineAt(source: string, at: number): number {
  let line = 1;
  for (let next = source.indexOf('\n'); next >= 0 && next < at; next = source.indexOf('\n', next + 1)) line++;
  return line;
}

/**
 * The 1-based line of the first tag with which a template cannot be read; null where none is found. A block that is
 * never closed is told by its begin.
 */
export function lineOfMistake(source: string): number | null {
  const tags = tagsOf(source);
  for (const { begin, end, kind } of tags) {
    if (!source.slice(begin, end).endsWith(closing[kind]) || !canBeCut(source.slice(begin, end)))
      return lineAt(source, begin);
  }
  // The parser asks for one token after the other: the last that it asked for lies in the tag that it stumbled at.
  let asked = 0;
  const tokens = tokenize(source.replace(/\{%([-+]?)\s*(?:end)?generation\s*([-+]?)%\}/g, '{#$1 $2#}'), {});
  const watched = new Proxy(tokens, {
    get(target, key, receiver): unknown {
      if (typeof key === 'string' && /^\d+$/.test(key)) asked = Math.max(asked, Number(key));
      return Reflect.get(target, key, receiver);
    },
  });
  try {
    parse(watched);
    return null;
  } catch {
    const opened = tokens.slice(0, Math.min(asked + 1, tokens.length)).filter(isOpening).length;
    const tag = asked >= tokens.length ? unclosed(source, tags) : tags[opened - 1];
    return tag ? lineAt(source, tag.begin) : null;
  }
}

const isOpening = ({ type }: { type: string }) =>
  type === 'OpenStatement' || type === 'OpenExpression' || type === 'Comment';

function canBeCut(tag: string): boolean {
  try {
    tokenize(tag, {});
    return true;
  } catch {
    return false;
  }
}

/** The innermost block that has no end. */
function unclosed(source: string, tags: readonly Tag[]): Tag | undefined {
  const open: { tag: Tag; name: string }[] = [];
  for (const tag of tags) {
    if (tag.kind !== 'statement') continue;
    const inner = source.slice(tag.begin + 2, tag.end - 2).replace(/^[-+]|[-+]$/g, '');
    const name = /^\s*(\w+)/.exec(inner)?.[1] ?? '';
    if (name.startsWith('end')) open.pop();
    else if (isBlock(name, inner)) open.push({ tag, name });
  }
  return open.at(-1)?.tag ?? tags.at(-1);
}

function isBlock(name: string, inner: string): boolean {
  if (name === 'set') return !/^\s*set\b[^=]*=/.test(inner);
  return ['if', 'for', 'macro', 'call', 'filter', 'generation'].includes(name);
}

/** The same template, telling before each tag on which line it stands (`__line`). What it renders is not the same. */
export function withLineCalls(source: string): string {
  let text = '';
  let at = 0;
  for (const { kind, begin, end } of tagsOf(source)) {
    text += source.slice(at, begin);
    if (kind !== 'comment') text += `{{ __line(${lineAt(source, begin)}) }}`;
    text += source.slice(begin, end);
    at = end;
  }
  return text + source.slice(at);
}
