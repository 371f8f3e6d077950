import { randomBytes } from 'node:crypto';
import { Environment, Interpreter, parse, tokenize } from '@huggingface/jinja';

import { evaluateText, printed, withPythonEscapes } from './pythonText.ts';
import { lineOfMistake, withLineCalls } from './templateLines.ts';

/** Characters from `from` to before `to`. */
export interface Span {
  from: number;
  to: number;
}

/** What a template made of its variables. */
export interface Rendered {
  text: string;
  /** What stands between `{% generation %}` marks, in order. */
  marked: Span[];
}

/** A template that cannot be read, or that fails or refuses (raise_exception). */
export class TemplateError extends Error {
  override readonly name = 'TemplateError';
  /** 1-based line of the source; null where it is not known. */
  readonly line: number | null;
  constructor(message: string, line: number | null) {
    super(message);
    this.line = line;
  }
}

export interface CompiledTemplate {
  source: string;
  /** Whether it marks what the assistant says. */
  hasMarks: boolean;
  /** @throws TemplateError */
  render(variables: Readonly<Record<string, unknown>>): Rendered;
}

/**
 * A template is a stranger's program. Its own limits keep it from filling the memory or the day; what they do not see
 * (one long operation) is ended with the thread that it runs in (services/tokenizer).
 */
const mostSteps = 2_000_000;
const mostCharacters = 64 * 1024 * 1024;
/** Python's sandbox allows so much, too. */
const longestRange = 100_000;

/** Strings of marks: no text has them, since they are other ones in each process. */
const nonce = randomBytes(12).toString('hex');
const [beginMark, endMark] = [`\uFDD0${nonce}\uFDD1`, `\uFDD2${nonce}\uFDD3`];
const anyMark = new RegExp(`[\uFDD0\uFDD2]${nonce}[\uFDD1\uFDD3]`, 'u');
const [beginName, endName] = ['__begin_generation', '__end_generation'];

const markTag = /\{%([-+]?)\s*(end)?generation\s*([-+]?)%\}/g;

/**
 * The dialect of transformers' chat templates: blocks trimmed and stripped, loop controls, `raise_exception`,
 * `strftime_now`, `{% generation %}`.
 * @throws TemplateError
 */
export function compileTemplate(written: string): CompiledTemplate {
  // As Jinja reads lines, whatever system they were written on.
  const source = withPythonEscapes(written.replaceAll(/\r\n?/g, '\n'));
  const hasMarks = source.search(markTag) >= 0;
  // A block statement in the mark's place, so that white space around it is trimmed as around the mark.
  const marked = source.replaceAll(
    markTag,
    (_, left: string, isEnd: string | undefined, right: string) =>
      `{%${left} if true %}{{ ${isEnd ? endName : beginName} }}{% endif ${right}%}`,
  );
  const program = readProgram(marked, source);
  return {
    source,
    hasMarks,
    render(variables) {
      try {
        return splitMarks(run(program, variables));
      } catch (error) {
        throw new TemplateError(messageOf(error), lineOfFailure(source, variables));
      }
    },
  };
}

/** What the library's declarations, which name their files without ending, do not tell the compiler. */
interface TemplateInterpreter {
  run(program: unknown): unknown;
  evaluate(statement: unknown, environment: unknown): unknown;
}
interface TemplateScope {
  set(name: string, value: unknown): unknown;
}
const BaseInterpreter = Interpreter as unknown as new (scope: TemplateScope) => TemplateInterpreter;
const Scope = Environment as unknown as new () => TemplateScope;

type Program = ReturnType<typeof parse>;

function readProgram(text: string, source: string): Program {
  try {
    return parse(tokenize(text, { lstrip_blocks: true, trim_blocks: true }));
  } catch (error) {
    throw new TemplateError(messageOf(error), lineOfMistake(source));
  }
}

/** The line whose tag was under way when rendering failed. */
function lineOfFailure(source: string, variables: Readonly<Record<string, unknown>>): number | null {
  let line: number | null = null;
  try {
    const program = parse(tokenize(withLineCalls(source), { lstrip_blocks: true, trim_blocks: true }));
    run(program, variables, (reached) => (line = reached));
  } catch {
    return line;
  }
  return null;
}

function run(
  program: Program,
  variables: Readonly<Record<string, unknown>>,
  onLine: (line: number) => void = () => {},
): string {
  const environment = new Scope();
  const values = {
    ...globals,
    [beginName]: beginMark,
    [endName]: endMark,
    __line: (line: number) => {
      onLine(line);
      return '';
    },
    ...variables,
  };
  for (const [name, value] of Object.entries(values)) environment.set(name, value);
  const { value } = new LimitedInterpreter(environment).run(program) as { value: unknown };
  return typeof value === 'string' ? value : '';
}

class LimitedInterpreter extends BaseInterpreter {
  #steps = 0;

  override evaluate(statement: unknown, environment: unknown): unknown {
    const result =
      statement === undefined
        ? super.evaluate(statement, environment)
        : (evaluateText(statement, (node) => this.evaluate(node, environment)) ??
          super.evaluate(statement, environment));
    const { value } = result as { value: unknown };
    // A loop over nothing but numbers asks for no other step.
    this.#steps += Array.isArray(value) ? 1 + value.length : 1;
    if (this.#steps > mostSteps) throw new Error(`takes more than ${mostSteps} steps`);
    if (typeof value === 'string' && value.length > mostCharacters)
      throw new Error(`makes a text of more than ${mostCharacters} characters`);
    return result;
  }

  /** Called by the library for the body of each block. */
  evaluateBlock(statements: readonly unknown[], environment: unknown): unknown {
    let text = '';
    for (const statement of statements) text += printed(statement, this.evaluate(statement, environment));
    return super.evaluate({ type: 'StringLiteral', value: text }, environment);
  }
}

const globals: Readonly<Record<string, unknown>> = {
  true: true,
  True: true,
  false: false,
  False: false,
  none: null,
  None: null,
  raise_exception(message: unknown) {
    throw new Error(String(message));
  },
  strftime_now: (format: unknown) => formatDate(String(format)),
  range: boundedRange,
};

function boundedRange(first: number, second?: number, step = 1): number[] {
  const [start, stop] = second === undefined ? [0, first] : [first, second];
  if (step === 0) throw new Error('range() step must not be zero');
  const length = Math.max(0, Math.ceil((stop - start) / step));
  if (!(length <= longestRange))
    throw new Error(`range() of ${length} numbers is longer than ${longestRange}`);
  return Array.from({ length }, (_, i) => start + i * step);
}

/**
 * What templates are told of today is always one day: otherwise the same row were other tokens tomorrow, and a model
 * were asked in another way than it was trained. It is the day that Llama's templates take where there is no clock.
 */
export const templateDate = { year: 2024, month: 7, day: 26 } as const;

function formatDate(format: string): string {
  const { year, month, day } = templateDate;
  const [long, weekday] = ['July', 'Friday'];
  const two = (value: number) => String(value).padStart(2, '0');
  const parts: Record<string, string> = {
    Y: String(year),
    y: two(year % 100),
    m: two(month),
    d: two(day),
    B: long,
    b: long.slice(0, 3),
    A: weekday,
    a: weekday.slice(0, 3),
    H: '00',
    I: '12',
    M: '00',
    S: '00',
    p: 'AM',
    j: '208',
    '%': '%',
  };
  return format.replace(/%(-?)([A-Za-z%])/g, (whole, dash: string, letter: string) => {
    const part = parts[letter];
    return part === undefined ? whole : dash ? part.replace(/^0(?=.)/, '') : part;
  });
}

/** Takes the marks out of a text and says what they stood around. */
function splitMarks(rendered: string): Rendered {
  if (!anyMark.test(rendered)) return { text: rendered, marked: [] };
  const marked: Span[] = [];
  let text = '';
  let from: number | null = null;
  let rest = rendered;
  for (let next = anyMark.exec(rest); next; next = anyMark.exec(rest)) {
    text += rest.slice(0, next.index);
    rest = rest.slice(next.index + next[0].length);
    if (next[0] === beginMark) from = text.length;
    else if (from !== null) {
      if (text.length > from) marked.push({ from, to: text.length });
      from = null;
    }
  }
  return { text: text + rest, marked };
}

function messageOf(error: unknown): string {
  if (error instanceof RangeError) return 'calls itself without an end, or makes too long a text';
  const message = error instanceof Error ? error.message : String(error);
  // What the library says where it asks for a token behind the last one.
  if (error instanceof TypeError) return 'ends before a block is closed';
  return message.replace(/^Parser Error: /, '').replace(/\.$/, '');
}
