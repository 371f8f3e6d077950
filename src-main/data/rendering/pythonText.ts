import { tagsOf } from './templateLines.ts';

/**
 * Python's strip, lstrip and rstrip, Jinja's trim, and `string` of True, False and None. The library takes no
 * characters to strip (Qwen3's template strips newlines alone) and JavaScript's white space, which is not Python's.
 */

/** A node of the library's tree, as far as it is looked at here. */
interface Node {
  type: string;
  callee?: Node;
  object?: Node;
  property?: Node;
  computed?: boolean;
  args?: Node[];
  operand?: Node;
  filter?: Node;
  value?: unknown;
}

/** A value of the library's: text is a StringValue, whose constructor makes others. */
interface StringValue {
  type: 'StringValue';
  value: string;
  constructor: new (value: string) => StringValue;
}

type Evaluate = (node: unknown) => unknown;

const sides: Readonly<Record<string, readonly ('left' | 'right')[]>> = {
  strip: ['left', 'right'],
  lstrip: ['left'],
  rstrip: ['right'],
};

/** The value of a node that strips a text, or makes one of a value; null where it is another node. */
export function evaluateText(statement: unknown, evaluate: Evaluate): StringValue | null {
  const node = statement as Node;
  if (node.type === 'CallExpression' && node.callee?.type === 'MemberExpression' && !node.callee.computed) {
    const side = sides[String(node.callee.property?.value)];
    return side ? stripped(evaluate(node.callee.object), side, node.args?.map(evaluate)) : null;
  }
  if (node.type !== 'FilterExpression') return null;
  const { filter } = node;
  const name = filter?.type === 'CallExpression' ? filter.callee : filter;
  if (name?.value === 'string') {
    const value = evaluate(node.operand);
    const isName = ['BooleanValue', 'NullValue'].includes((value as { type: string }).type);
    return isName ? (evaluate({ type: 'StringLiteral', value: printed(node, value) }) as StringValue) : null;
  }
  if (name?.value !== 'trim') return null;
  return stripped(evaluate(node.operand), sides['strip']!, filter?.args?.map(evaluate));
}

function stripped(
  object: unknown,
  side: readonly ('left' | 'right')[],
  args: readonly unknown[] = [],
): StringValue | null {
  if (!isText(object)) return null;
  const [characters] = args;
  const set = isText(characters) ? new Set(characters.value) : null;
  const isStripped = (letter: string) => (set ? set.has(letter) : pythonSpace.test(letter));
  const letters = object.value;
  let [from, to] = [0, letters.length];
  if (side.includes('left'))
    while (from < to) {
      const letter = String.fromCodePoint(letters.codePointAt(from)!);
      if (!isStripped(letter)) break;
      from += letter.length;
    }
  if (side.includes('right'))
    while (to > from) {
      const isPair = to - from > 1 && /[\uD800-\uDBFF][\uDC00-\uDFFF]/.test(letters.slice(to - 2, to));
      const letter = letters.slice(isPair ? to - 2 : to - 1, to);
      if (!isStripped(letter)) break;
      to -= letter.length;
    }
  return new object.constructor(letters.slice(from, to));
}

/** Python counts four of the separators as white space. */
const pythonSpace = /^[\t-\r\x1c- \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]$/;

function isText(value: unknown): value is StringValue {
  return typeof value === 'object' && value !== null && (value as { type?: unknown }).type === 'StringValue';
}

/**
 * Strings of a template as Python reads them: a backslash at a line's end joins the lines (Mistral's templates), and
 * one that means nothing stands for itself. The library refuses both.
 */
export function withPythonEscapes(source: string): string {
  if (!source.includes('\\')) return source;
  let text = '';
  let at = 0;
  for (const { kind, begin, end } of tagsOf(source)) {
    text += source.slice(at, begin);
    const tag = source.slice(begin, end);
    text += kind === 'comment' ? tag : tag.replaceAll(stringLiteral, withKnownEscapes);
    at = end;
  }
  return text + source.slice(at);
}

const stringLiteral = /'(?:[^'\\]|\\[^])*'|"(?:[^"\\]|\\[^])*"/g;
const escape = /\\(\n|x[\da-fA-F]{2}|u[\da-fA-F]{4}|U[\da-fA-F]{8}|[0-7]{1,3}|[^])/g;
/** Which the library knows, too. */
const known = /^(?:[nrtbfv'"\\]|x[\da-fA-F]{2}|u[\da-fA-F]{4})$/;

function withKnownEscapes(literal: string): string {
  return literal.replaceAll(escape, (whole, what: string) => {
    if (known.test(what)) return whole;
    if (what === '\n') return '';
    if (what === 'a') return '\\x07';
    if (what.startsWith('U') && what.length === 9)
      return codePoint(Number.parseInt(what.slice(1), 16), whole);
    if (/^[0-7]/.test(what)) return codePoint(Number.parseInt(what, 8), whole);
    return `\\\\${what}`;
  });
}

function codePoint(code: number, whole: string): string {
  if (code > 0x10ffff) return `\\${whole}`;
  // As two halves where it takes them: no letter of a source is mistaken for one of its signs.
  const units = Array.from({ length: code > 0xffff ? 2 : 1 }, (_, i) =>
    String.fromCodePoint(code).charCodeAt(i),
  );
  return units.map((unit) => `\\u${unit.toString(16).padStart(4, '0')}`).join('');
}

/** A value as Python prints it: True, False and None by these names. */
export function printed(statement: unknown, result: unknown): string {
  const { type, value } = result as { type: string; value: unknown };
  switch (type) {
    case 'UndefinedValue':
      return '';
    case 'NullValue':
      // What is no expression has nothing to print.
      return ['Set', 'Macro', 'Comment'].includes((statement as Node).type) ? '' : 'None';
    case 'BooleanValue':
      return value === true ? 'True' : 'False';
    default:
      return String(result);
  }
}
