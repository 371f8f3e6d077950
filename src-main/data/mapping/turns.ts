import type { Role, Turn } from '../../contract/rows.ts';
import { asText, fieldOf, isObject, structureOf, UnusableRow, type SourceValue } from './fields.ts';

/** Names of the speakers in the formats that are about. */
const roleNames: Record<string, Role> = {
  system: 'system',
  developer: 'system',
  context: 'system',
  user: 'user',
  human: 'user',
  prompter: 'user',
  customer: 'user',
  question: 'user',
  assistant: 'assistant',
  gpt: 'assistant',
  chatgpt: 'assistant',
  gpt4: 'assistant',
  bot: 'assistant',
  chatbot: 'assistant',
  model: 'assistant',
  ai: 'assistant',
  bing: 'assistant',
  bard: 'assistant',
  claude: 'assistant',
  answer: 'assistant',
  response: 'assistant',
  function_call: 'assistant',
  tool_call: 'assistant',
  tool: 'tool',
  function: 'tool',
  function_response: 'tool',
  function_output: 'tool',
  tool_response: 'tool',
  observation: 'tool',
  ipython: 'tool',
};

const roleFields = ['role', 'from', 'speaker'];
const contentFields = ['content', 'value', 'text', 'message'];

/** Whether a value is a list of turns: entries that say who speaks, and what. */
export function isTurnList(value: unknown): boolean {
  return (
    Array.isArray(value) &&
    value.length > 0 &&
    isObject(value[0]) &&
    roleFields.some((field) => Object.hasOwn(value[0] as SourceValue, field))
  );
}

/** The turns that a field lists. @throws UnusableRow */
export function turnsField(row: SourceValue, column: string): Turn[] {
  return turnsOf(structureOf(fieldOf(row, column)), column);
}

/** @throws UnusableRow no_turns, unknown_role, bad_turn, not_only_text */
export function turnsOf(value: unknown, column: string): Turn[] {
  if (value === undefined) throw new UnusableRow('missing', column);
  if (value === null) throw new UnusableRow('null', column);
  if (!Array.isArray(value) || value.length === 0)
    throw new UnusableRow('no_turns', column, Array.isArray(value) ? 'an empty list' : typeof value);
  return value.map((entry, i) => turnOf(entry, `${column}[${i}]`));
}

function turnOf(entry: unknown, column: string): Turn {
  if (!isObject(entry)) throw new UnusableRow('bad_turn', column, 'no object');
  const field = (names: readonly string[]) => names.find((name) => Object.hasOwn(entry, name));
  const roleField = field(roleFields);
  const said = roleField === undefined ? undefined : entry[roleField];
  if (typeof said !== 'string') throw new UnusableRow('bad_turn', column, 'no role');
  const role = roleNames[said.trim().toLowerCase().replaceAll(/[ -]/g, '_')];
  if (role === undefined) throw new UnusableRow('unknown_role', column, said);
  const contentField = field(contentFields);
  const raw = contentField === undefined ? undefined : entry[contentField];
  const turn: Turn = { role, content: contentOf(raw, column) };
  const calls = role === 'assistant' ? callsOf(entry) : undefined;
  if (calls) turn.toolCalls = calls;
  else if (raw === undefined || raw === null) throw new UnusableRow('bad_turn', column, 'no content');
  const { reasoning_content: reasoning, name } = entry;
  if (role === 'assistant' && typeof reasoning === 'string' && reasoning !== '') turn.reasoning = reasoning;
  if (role === 'tool' && typeof name === 'string') turn.name = name;
  return turn;
}

/** Text, or a list of parts that are text. A turn that only calls a tool has none. */
function contentOf(value: unknown, column: string): string {
  if (value === undefined || value === null) return '';
  if (!Array.isArray(value)) return asText(value, column);
  return value
    .map((part: unknown) => {
      if (typeof part === 'string') return asText(part, column);
      if (!isObject(part)) throw new UnusableRow('bad_turn', column, 'no text');
      if (part['type'] !== undefined && part['type'] !== 'text' && part['type'] !== 'input_text')
        throw new UnusableRow('not_only_text', column, asText(part['type'], column));
      return asText(part['text'], column);
    })
    .join('');
}

/** Calls of tools, and the one call of the older form, as transformers' templates take them. */
function callsOf(entry: SourceValue): unknown[] | undefined {
  const { tool_calls: calls, function_call: call } = entry;
  if (Array.isArray(calls) && calls.length > 0) return calls;
  return isObject(call) ? [{ type: 'function', function: call }] : undefined;
}

/** Turns before a prompt: pairs of what was asked and answered, or turns with roles. @throws UnusableRow */
export function historyField(row: SourceValue, column: string | undefined): Turn[] {
  const value = column === undefined ? undefined : structureOf(fieldOf(row, column));
  if (column === undefined || value === undefined || value === null || value === '') return [];
  if (!Array.isArray(value)) throw new UnusableRow('no_turns', column, typeof value);
  return value.flatMap((entry: unknown, i): Turn[] => {
    if (!Array.isArray(entry)) return [turnOf(entry, `${column}[${i}]`)];
    const [asked, answered] = entry as unknown[];
    return [
      { role: 'user', content: asText(asked, `${column}[${i}]`) },
      { role: 'assistant', content: asText(answered, `${column}[${i}]`) },
    ];
  });
}

/** A conversation written as one text with "Human:" and "Assistant:" before the turns (HH-RLHF); null: it is none. */
export function writtenTurns(text: string): Turn[] | null {
  const parts = text.split(/(?:^|\n\n)(Human|Assistant): ?/);
  if (parts.length < 3 || parts[0]!.trim() !== '') return null;
  const turns: Turn[] = [];
  for (let i = 1; i + 1 < parts.length; i += 2)
    turns.push({ role: parts[i] === 'Human' ? 'user' : 'assistant', content: parts[i + 1]!.trim() });
  return turns;
}
