import type { Turn } from '../../contract/rows.ts';

/**
 * A chat template in Ollama's language (Go's text/template). Jinja is a language of its own, so no template is
 * translated: conversations are rendered, their fixed parts are read off, and what follows from these is taken only
 * where it gives the same texts.
 */
export interface OllamaTemplate {
  /** Before a conversation without a system text. */
  head: string;
  beforeSystem: string;
  afterSystem: string;
  beforeUser: string;
  /** Up to where the assistant begins. */
  afterUser: string;
  /** Before what the assistant has said: a space that it says itself when it goes on. */
  beforeAssistant: string;
  afterAssistant: string;
}

/** Texts that no template has, in the order of a conversation. */
const said = { system: 'Sqsys', user: 'Uqusr', answer: 'Aqans', later: 'Lqlat', third: 'Tqthr' } as const;
const system = { role: 'system', content: said.system } as const;
const user = (content: string) => ({ role: 'user', content }) as const;
const answer = (content: string) => ({ role: 'assistant', content }) as const;

/** The conversations that tell a template's parts; the last two try what was found. */
export const probeConversations: readonly (readonly Turn[])[] = [
  [user(said.user)],
  [system, user(said.user), answer(said.answer), user(said.later)],
  [user(said.user), answer(said.answer), user(said.later)],
  [system, user(said.user), answer(said.answer), user(said.later), answer('b'), user(said.third)],
];

/**
 * The template that gives the texts of `probeConversations`; null where none of this form does.
 * @param texts of the conversations, each up to where the assistant goes on
 * @param begin what the tokenizer itself puts before a text: it is left out
 */
export function ollamaTemplateOf(texts: readonly string[], begin: string): OllamaTemplate | null {
  const plain = texts.map((text) =>
    begin !== '' && text.startsWith(begin) ? text.slice(begin.length) : text,
  );
  const [short = '', long = ''] = plain;
  const parts = between(long, [said.system, said.user, said.answer, said.later]);
  const alone = between(short, [said.user]);
  if (!parts || !alone) return null;
  const [beforeSystem, systemToUser, userToAnswer, answerToUser, afterUser] = parts as [
    string,
    string,
    string,
    string,
    string,
  ];
  if (!userToAnswer.startsWith(afterUser)) return null;
  // What stands before the user, whether nothing, a system text or an answer came first.
  const beforeUser = commonEnd(commonEnd(systemToUser, answerToUser), alone[0]!);
  const found = {
    head: alone[0]!.slice(0, alone[0]!.length - beforeUser.length),
    beforeSystem,
    afterSystem: systemToUser.slice(0, systemToUser.length - beforeUser.length),
    beforeUser,
    afterUser,
    beforeAssistant: userToAnswer.slice(afterUser.length),
    afterAssistant: answerToUser.slice(0, answerToUser.length - beforeUser.length),
  };
  const isRight = probeConversations.every((turns, i) => expanded(found, turns) === plain[i]);
  return isRight ? found : null;
}

/** What stands before each of the words, and behind the last; null where one is missing or stands twice. */
function between(text: string, words: readonly string[]): string[] | null {
  const parts: string[] = [];
  let rest = text;
  for (const word of words) {
    const pieces = rest.split(word);
    if (pieces.length !== 2) return null;
    parts.push(pieces[0]!);
    rest = pieces[1]!;
  }
  return [...parts, rest];
}

function commonEnd(a: string, b: string): string {
  let length = 0;
  while (length < Math.min(a.length, b.length) && a.at(-1 - length) === b.at(-1 - length)) length++;
  return a.slice(a.length - length);
}

/** What the template makes of a conversation. */
export function expanded(template: OllamaTemplate, turns: readonly Turn[]): string {
  const { beforeSystem, afterSystem, beforeUser, afterUser, beforeAssistant, afterAssistant } = template;
  const texts = turns.map(({ role, content }) => {
    if (role === 'system') return beforeSystem + content + afterSystem;
    return role === 'user' ? beforeUser + content + afterUser : beforeAssistant + content + afterAssistant;
  });
  return (turns[0]?.role === 'system' ? '' : template.head) + texts.join('');
}

/** The template as Ollama reads it, on one line: its texts are constants, so that no white space is lost. */
export function goTemplate(template: OllamaTemplate): string {
  const constant = (text: string) => (text === '' ? '' : `{{ ${goString(text)} }}`);
  const { head, beforeSystem, afterSystem, beforeUser, afterUser, beforeAssistant, afterAssistant } =
    template;
  const content = '{{ .Content }}';
  const begin =
    head === ''
      ? ''
      : `{{ $first := index .Messages 0 }}{{ if ne $first.Role "system" }}${constant(head)}{{ end }}`;
  return [
    begin,
    '{{ range .Messages }}',
    `{{ if eq .Role "system" }}${constant(beforeSystem)}${content}${constant(afterSystem)}`,
    `{{ else if eq .Role "user" }}${constant(beforeUser)}${content}${constant(afterUser)}`,
    `{{ else if eq .Role "assistant" }}${constant(beforeAssistant)}${content}${constant(afterAssistant)}{{ end }}`,
    '{{ end }}',
  ].join('');
}

/** A string constant of Go; no three quotes stand side by side, which would end a value of a Modelfile. */
function goString(text: string): string {
  return `"${text
    .replaceAll('\\', String.raw`\\`)
    .replaceAll('"', String.raw`\x22`)
    .replace(/[\0-\x1f\x7f]/g, (sign) => `\\x${sign.charCodeAt(0).toString(16).padStart(2, '0')}`)
    .replaceAll(String.raw`\x0a`, String.raw`\n`)}"`;
}
