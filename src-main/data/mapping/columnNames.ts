/** What fields are called, letters and digits alone in lower case; the likeliest first. */
export const columnNames = {
  prompt: [
    'instruction',
    'instructions',
    'prompt',
    'prompts',
    'question',
    'questions',
    'query',
    'input',
    'inputs',
    'request',
    'user',
    'human',
    'problem',
    'source',
    'goal',
    'task',
    'userprompt',
    'inputtext',
    'article',
    'document',
  ],
  answer: [
    'output',
    'outputs',
    'completion',
    'completions',
    'response',
    'responses',
    'answer',
    'answers',
    'target',
    'targets',
    'solution',
    'reply',
    'assistant',
    'bot',
    'gpt',
    'modelresponse',
    'canonicalsolution',
    'outputtext',
    'summary',
    'highlights',
    'label',
  ],
  input: ['input', 'inputs', 'context'],
  system: ['system', 'systemprompt', 'systemmessage'],
  history: ['history'],
  turns: ['messages', 'conversations', 'conversation', 'dialogue', 'dialog', 'turns', 'chat'],
  tools: ['tools', 'functions'],
  choices: ['choices', 'options', 'endings'],
  choiceAnswer: [
    'answerkey',
    'answer',
    'label',
    'correctanswer',
    'correct',
    'correctoption',
    'answeridx',
    'answerindex',
    'gold',
    'target',
  ],
  chosen: ['chosen', 'preferred', 'chosenresponse'],
  rejected: ['rejected', 'dispreferred', 'rejectedresponse'],
  text: ['text', 'content', 'document', 'body', 'story'],
} as const satisfies Record<string, readonly string[]>;

export type ColumnRole = keyof typeof columnNames;

/** A name as it is compared: spelling and case tell nothing. */
export function plainName(column: string): string {
  return column.toLowerCase().replace(/[^\p{L}\p{N}]/gu, '');
}

/** The column that a role has by its name, the likeliest; undefined where there is none. */
export function columnFor(
  role: ColumnRole,
  columns: readonly string[],
  accepts: (column: string) => boolean = () => true,
): string | undefined {
  const known = columns.map((column) => ({ column, plain: plainName(column) }));
  for (const name of columnNames[role]) {
    const found = known.find(({ column, plain }) => plain === name && accepts(column));
    if (found) return found.column;
  }
  return undefined;
}

const choiceSeries = [
  /^(?:choice|option|answer|ending|opt)?0$/,
  /^(?:choice|option|answer|ending|opt)1$/,
  /^(?:choice|option|answer|opt)?a$/,
];

/** Columns that hold one choice each (`choice0` ..., `A` ..., `option_a` ...), in their order. */
export function choiceColumns(columns: readonly string[]): string[] {
  for (const first of choiceSeries) {
    const begin = columns.find((column) => first.test(plainName(column)));
    if (begin === undefined) continue;
    const plain = plainName(begin);
    const stem = plain.slice(0, -1);
    const found = [begin];
    for (let code = plain.charCodeAt(plain.length - 1) + 1; ; code++) {
      const next = columns.find((column) => plainName(column) === stem + String.fromCharCode(code));
      if (next === undefined) break;
      found.push(next);
    }
    if (found.length >= 2) return found;
  }
  return [];
}
