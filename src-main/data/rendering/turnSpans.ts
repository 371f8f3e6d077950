import type { Span } from './jinjaTemplate.ts';

/** What a template makes of messages. */
export interface TurnRenderer<Message> {
  render(messages: readonly Message[], options: { prompt: boolean }): string;
  /** The same message saying something else. */
  saying(message: Message, content: string): Message;
  /** Tokens that are cut out of texts whole: no span ends inside of one. */
  addedTokens: ReadonlySet<string>;
}

/** A word that no template treats in a way of its own. */
const word = 'Xqzvk';

/**
 * Where messages at given indices stand in a rendered conversation, each from behind the prompt for it to the end of
 * its turn, end-of-turn tokens and what follows them up to the next turn included.
 *
 * It is TRL's way with templates that mark nothing: a turn is what the conversation up to it has and the prompt for it
 * has not. Templates that write earlier turns in another way than the last one (thoughts left out, an end token behind
 * all) do not have the one as the begin of the other; there the turn's end is found by what follows a word in its
 * place.
 */
export function turnSpans<Message>(
  template: TurnRenderer<Message>,
  messages: readonly Message[],
  text: string,
  indices: readonly number[],
): Span[] {
  return indices.flatMap((index) => {
    const prompt = template.render(messages.slice(0, index), { prompt: true });
    // A prompt may end with what only last turns have (an opened thought): up to there it is the conversation's.
    const from = text.startsWith(prompt) ? prompt.length : commonTokens(template.addedTokens, prompt, text);
    const to = endOfTurn(template, messages, text, index);
    return to === null || to <= from ? [] : [{ from, to }];
  });
}

/** Characters that two texts begin with alike, no token of either cut in two. */
function commonTokens(tokens: ReadonlySet<string>, a: string, b: string): number {
  const at = commonPrefix(a, b);
  return Math.min(beforeCutToken(tokens, a, at), beforeCutToken(tokens, b, at));
}

function endOfTurn<Message>(
  template: TurnRenderer<Message>,
  messages: readonly Message[],
  text: string,
  index: number,
): number | null {
  if (index === messages.length - 1) return text.length;
  const until = template.render(messages.slice(0, index + 1), { prompt: false });
  if (text.startsWith(until)) return until.length;
  const replaced = messages.map((message, i) => (i === index ? template.saying(message, word) : message));
  const behind = afterWord(template.render(replaced, { prompt: false }));
  const behindLast = afterWord(template.render(replaced.slice(0, index + 1), { prompt: false }));
  if (behind === null || behindLast === null || !text.endsWith(behind)) return null;
  const contentEnd = text.length - behind.length;
  return contentEnd + commonTokens(template.addedTokens, behindLast, behind);
}

function afterWord(text: string): string | null {
  const at = text.lastIndexOf(word);
  return at < 0 ? null : text.slice(at + word.length);
}

/** The same place, or the begin of the token that it would cut in two. */
function beforeCutToken(tokens: ReadonlySet<string>, text: string, at: number): number {
  for (const token of tokens)
    for (let begin = Math.max(0, at - token.length + 1); begin < at; begin++)
      if (text.startsWith(token, begin)) return begin;
  return at;
}

/** Characters that two texts begin with alike. */
export function commonPrefix(a: string, b: string): number {
  if (b.startsWith(a)) return a.length;
  const length = Math.min(a.length, b.length);
  let at = 0;
  while (at < length && a.charCodeAt(at) === b.charCodeAt(at)) at++;
  // Both halves of a letter or none.
  return at > 0 && (a.charCodeAt(at - 1) & 0xfc00) === 0xd800 ? at - 1 : at;
}
