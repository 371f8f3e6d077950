/** An option of `chat`: how it is shown, and what it means where its name does not say so. */
interface ChatOption {
  type: 'string' | 'boolean';
  multiple?: boolean;
  example: string;
  about?: string;
}

/** Every option of `chat`: the parser and the help are made of this. */
export const chatOptions = {
  prompt: {
    type: 'string',
    multiple: true,
    example: 'TEXT',
    about: 'again: the next turn; absent: lines are read',
  },
  model: { type: 'string', example: 'M', about: 'the base of adapter folders' },
  system: { type: 'string', example: 'TEXT' },
  template: { type: 'string', example: 'NAME|FILE', about: 'as trained' },
  stop: { type: 'string', multiple: true, example: 'TEXT', about: 'several times' },
  'max-tokens': { type: 'string', example: '256' },
  temperature: { type: 'string', example: '0' },
  'top-p': { type: 'string', example: '1' },
  seed: { type: 'string', example: '0' },
  task: { type: 'string', example: 'N' },
  context: { type: 'string', example: '2048' },
  precision: { type: 'string', example: 'f32|bf16' },
  continue: { type: 'boolean', example: '', about: 'goes on with the chat that the project keeps' },
  blind: { type: 'boolean', example: '', about: 'names hidden and shuffled until /reveal' },
  keep: { type: 'string', example: 'DATASET', about: 'adds the last prompt to a dataset to be scored by' },
  expect: { type: 'string', example: 'TEXT', about: 'with this answer' },
} as const satisfies Record<string, ChatOption>;

/** The paragraph on `chat`. */
export function chatHelp(): string {
  const lines = ['  chat MODEL-OR-RUN [RUN2 ...] | chat --continue'];
  const options = Object.entries<ChatOption>(chatOptions).map(
    ([name, { example, about }]) =>
      `--${name}${example && ` ${example}`}${about === undefined ? '' : ` (${about})`}`,
  );
  for (const part of options.map(
    (option, i) => `${i === 0 ? '[' : ''}${option}${i === options.length - 1 ? ']' : ''}`,
  ))
    if (`${lines.at(-1)} ${part}`.length <= 118) lines.push(`${lines.pop()} ${part}`);
    else lines.push(`        ${part}`);
  return [
    ...lines,
    '        one prompt to all of them, turn after turn; line by line /undo, /new, /keep ANSWER and /quit, with --blind',
    '        /vote LETTER|alike|bad and /reveal',
  ].join('\n');
}
