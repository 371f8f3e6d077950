import type { StudioError } from '../contract/errors.ts';
import type { ConfigPath } from '../contract/training.ts';
import { impossible } from '../methods/method.ts';

/** Part of a parsed pattern. */
type Part =
  | { kind: 'character'; matches: (character: string) => boolean }
  | { kind: 'begin' | 'end' | 'border' }
  | { kind: 'ahead'; part: Part; negated: boolean }
  | { kind: 'sequence'; parts: Part[] }
  | { kind: 'choice'; options: Part[] }
  | { kind: 'repeat'; part: Part; least: number; most: number };

/** Says whether a module path fits a pattern. */
export type ModulePattern = (path: string) => boolean;

/** Longest key, and longest map with all its keys: file content decides how long matching takes. */
const maxKeyLength = 200;
const maxExpressionLength = 2000;
const maxMapLength = 64 * 1024;

/**
 * A key of PEFT's rank_pattern and alpha_pattern. It fits a module path where Python's `re.match(rf"(.*\.)?({key})$",
 * path)` does: the whole path, or what follows any dot of it.
 *
 * Keys come from adapter files of unknown origin, so that no regular expression engine gets to see them: the part of
 * the syntax that module names need is matched here with sets of positions, without backtracking, and everything else
 * is refused by name. Understood: letters, digits, `_`, `-`, `.` (any character), escaped punctuation, `\d`, `\w`,
 * `\b`, classes, groups with `|`, one `*`, `+`, `?` or `{m,n}` (lazy, too) behind a part that has none inside, looking
 * ahead, `^` and `$`.
 *
 * @throws StudioError config_invalid with what is not understood
 */
export function compileModulePattern(key: string, option?: ConfigPath): ModulePattern {
  const characters = plainKey.test(key) ? key.match(/\\?\.|[\w-]/g) : null;
  if (characters) return (path) => endsWith(path, characters);
  const part = new Parser(key, option).parse(maxKeyLength);
  return (path) => {
    const starts = new Set([0]);
    for (let i = 0; i < path.length; i++) if (path[i] === '.') starts.add(i + 1);
    return advance(part, path, starts).has(path.length);
  };
}

/**
 * An expression as PEFT's target_modules. It fits a module path where Python's `re.fullmatch(expression, path)` does.
 * @throws StudioError config_invalid as compileModulePattern does
 */
export function compilePathExpression(expression: string): ModulePattern {
  const part = new Parser(expression, undefined).parse(maxExpressionLength);
  return (path) => advance(part, path, new Set([0])).has(path.length);
}

/** Keys without choice or repetition: one for each module, in large maps. */
const plainKey = /^(?:[\w-]|\\?\.){1,200}$/;

/** Whether a path ends with these characters (`.`: any), and begins with them or has a dot before them. */
function endsWith(path: string, characters: readonly string[]): boolean {
  const begin = path.length - characters.length;
  if (begin < 0 || (begin > 0 && path[begin - 1] !== '.')) return false;
  return characters.every((c, i) => c === '.' || path[begin + i] === (c === '\\.' ? '.' : c));
}

/** One key of a pattern map. */
export interface PatternEntry {
  key: string;
  value: number;
  fits: ModulePattern;
}

/**
 * The entries of a pattern map in order; the first whose key fits a path decides there, as in PEFT.
 * @param option that the map is; refusals name it
 * @throws StudioError config_invalid as compileModulePattern does, or for too long a map
 */
export function compilePatternMap(
  map: Readonly<Record<string, number>>,
  option: 'rankPattern' | 'alphaPattern',
): PatternEntry[] {
  const entries = Object.entries(map);
  const length = entries.reduce((sum, [key]) => sum + key.length, 0);
  if (length > maxMapLength)
    throw impossible(
      `The ${entries.length} patterns for single modules have ${length} characters; at most ${maxMapLength} are read.`,
      'Join keys with groups, for example layers\\.(0|1|2)\\.self_attn\\.q_proj.',
      ['adapter', option],
    );
  return entries.map(([key, value]) => {
    return { key, value, fits: compileModulePattern(key, ['adapter', option, key]) };
  });
}

/** Positions of `text` at which a match of `part` can end that began at one of `starts`. */
function advance(part: Part, text: string, starts: ReadonlySet<number>): ReadonlySet<number> {
  switch (part.kind) {
    case 'character':
      return new Set(
        [...starts].filter((at) => at < text.length && part.matches(text[at]!)).map((at) => at + 1),
      );
    case 'begin':
      return new Set([...starts].filter((at) => at === 0));
    case 'end':
      return new Set([...starts].filter((at) => at === text.length));
    case 'border':
      return new Set([...starts].filter((at) => isWord(text[at - 1]) !== isWord(text[at])));
    case 'ahead':
      return new Set(
        [...starts].filter((at) => advance(part.part, text, new Set([at])).size > 0 !== part.negated),
      );
    case 'sequence': {
      let at = starts;
      for (const next of part.parts) {
        if (at.size === 0) break;
        at = advance(next, text, at);
      }
      return at;
    }
    case 'choice':
      return new Set(part.options.flatMap((option) => [...advance(option, text, starts)]));
    case 'repeat': {
      let fresh = starts;
      for (let round = 0; round < part.least; round++) fresh = advance(part.part, text, fresh);
      const reached = new Set(fresh);
      for (let round = part.least; round < part.most && fresh.size > 0; round++) {
        fresh = new Set([...advance(part.part, text, fresh)].filter((at) => !reached.has(at)));
        for (const at of fresh) reached.add(at);
      }
      return reached;
    }
    default:
      throw new Error(`unknown part ${JSON.stringify(part satisfies never)}`);
  }
}

function isWord(character: string | undefined): boolean {
  return character !== undefined && /[A-Za-z0-9_]/.test(character);
}

/** Recursive descent over a key. */
class Parser {
  readonly #key: string;
  readonly #option: ConfigPath | undefined;
  #at = 0;

  constructor(key: string, option: ConfigPath | undefined) {
    this.#key = key;
    this.#option = option;
  }

  parse(maxLength: number): Part {
    if (this.#key.length > maxLength)
      throw this.#refused(`more than ${maxLength} characters`, `${this.#key.slice(0, 40)}...`);
    const part = this.#choice();
    if (this.#at < this.#key.length) throw this.#refused('an unpaired )');
    return part;
  }

  #choice(): Part {
    const options = [this.#sequence()];
    while (this.#take('|')) options.push(this.#sequence());
    return options.length === 1 ? options[0]! : { kind: 'choice', options };
  }

  #sequence(): Part {
    const parts: Part[] = [];
    for (let next = this.#peek(); next !== undefined && next !== '|' && next !== ')'; next = this.#peek())
      parts.push(this.#repeated());
    return { kind: 'sequence', parts };
  }

  #repeated(): Part {
    const part = this.#single();
    const sign = this.#peek() ?? '';
    if (!'*+?{'.includes(sign) || sign === '') return part;
    if (contains(part, 'repeat') || contains(part, 'ahead'))
      throw this.#refused('a repetition inside a repetition');
    const [least, most] = this.#count();
    // A lazy repetition fits the same whole paths as a greedy one.
    this.#take('?');
    if ('*+?{'.includes(this.#peek() ?? ' ')) throw this.#refused(`the repetition ${sign}${this.#peek()}`);
    return { kind: 'repeat', part, least, most };
  }

  /** The bounds of a repetition. */
  #count(): [least: number, most: number] {
    const sign = this.#key[this.#at++];
    if (sign !== '{') return [sign === '+' ? 1 : 0, sign === '?' ? 1 : Infinity];
    const counted = /^(\d{1,3})(,(\d{1,3})?)?\}/.exec(this.#key.slice(this.#at));
    if (!counted) throw this.#refused('a brace { that counts nothing');
    this.#at += counted[0].length;
    const least = Number(counted[1]);
    if (!counted[2]) return [least, least];
    return [least, counted[3] === undefined ? Infinity : Number(counted[3])];
  }

  #single(): Part {
    const character = this.#key[this.#at++]!;
    switch (character) {
      case '.':
        return { kind: 'character', matches: () => true };
      case '^':
        return { kind: 'begin' };
      case '$':
        return { kind: 'end' };
      case '(': {
        if (this.#take('?')) {
          const negated = this.#peek() === '!';
          if (negated || this.#peek() === '=') return this.#ahead(negated);
          if (!this.#take(':')) throw this.#refused(`the group (?${this.#peek() ?? ''}`);
        }
        const inner = this.#choice();
        if (!this.#take(')')) throw this.#refused('a ( without )');
        return inner;
      }
      case '[':
        return { kind: 'character', matches: this.#class() };
      case '\\':
        if (this.#take('b')) return { kind: 'border' };
        return { kind: 'character', matches: this.#escape() };
      default:
        if (!/[A-Za-z0-9_-]/.test(character))
          throw this.#refused(`the character ${JSON.stringify(character)}`);
        return { kind: 'character', matches: (other) => other === character };
    }
  }

  /** What follows `(?`. */
  #ahead(negated: boolean): Part {
    this.#at++;
    const part = this.#choice();
    if (!this.#take(')')) throw this.#refused('a ( without )');
    if (contains(part, 'ahead')) throw this.#refused('looking ahead inside looking ahead');
    return { kind: 'ahead', part, negated };
  }

  /** What follows a backslash. */
  #escape(): (character: string) => boolean {
    const escaped = this.#key[this.#at++];
    if (escaped === 'd') return (character) => /[0-9]/.test(character);
    if (escaped === 'w') return (character) => /[A-Za-z0-9_]/.test(character);
    if (escaped === undefined || /[A-Za-z0-9\s]/.test(escaped)) throw this.#refused(`\\${escaped ?? ''}`);
    return (character) => character === escaped;
  }

  /** What follows an opening bracket. */
  #class(): (character: string) => boolean {
    const negated = this.#take('^');
    const tests: ((character: string) => boolean)[] = [];
    while (!this.#take(']')) {
      const first = this.#key[this.#at++];
      if (first === undefined || first === '[') throw this.#refused('an unclosed or nested class [');
      if (first === '\\') {
        tests.push(this.#escape());
        continue;
      }
      const last = this.#key[this.#at + 1];
      if (this.#peek() !== '-' || last === ']' || last === undefined) {
        tests.push((character) => character === first);
        continue;
      }
      this.#at += 2;
      if (last === '\\' || last < first) throw this.#refused(`the range ${first}-${last}`);
      tests.push((character) => character >= first && character <= last);
    }
    if (tests.length === 0) throw this.#refused('an empty class []');
    return (character) => tests.some((test) => test(character)) !== negated;
  }

  #peek(): string | undefined {
    return this.#key[this.#at];
  }

  #take(character: string): boolean {
    if (this.#peek() !== character) return false;
    this.#at++;
    return true;
  }

  #refused(what: string, shown = this.#key): StudioError {
    return impossible(
      `The module pattern "${shown}" uses ${what}, which is not understood here.`,
      'Use names, dots, \\d, classes [], groups (a|b) and single *, + or ?, for example layers\\.[0-3]\\.mlp\\..*_proj.',
      this.#option,
    );
  }
}

function contains(part: Part, kind: 'repeat' | 'ahead'): boolean {
  if (part.kind === kind) return true;
  switch (part.kind) {
    case 'repeat':
    case 'ahead':
      return contains(part.part, kind);
    case 'sequence':
      return part.parts.some((inner) => contains(inner, kind));
    case 'choice':
      return part.options.some((inner) => contains(inner, kind));
    default:
      return false;
  }
}
