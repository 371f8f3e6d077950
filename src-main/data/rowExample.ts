import type { Example } from '../contract/entities.ts';
import type { Row, Turn } from '../contract/rows.ts';

/**
 * A row as prompt and answer where no template is at hand. The last assistant turn is the answer; what stands before
 * it, the prompt, by the names of the roles.
 */
export function exampleOf(row: Row): Example {
  const task = row.task === undefined ? {} : { task: row.task };
  switch (row.kind) {
    case 'verbatim':
      return { prompt: row.prompt, answer: row.answer, ...task };
    case 'text':
      return { prompt: '', answer: row.text, ...task };
    case 'chat': {
      const last = row.turns.findLastIndex(({ role }) => role === 'assistant');
      const before = row.turns.slice(0, last < 0 ? undefined : last);
      const prompt = before.map((turn) => `${turn.role}: ${textOf(turn)}\n`).join('');
      const answer = last < 0 ? '' : ` ${row.turns[last]!.content}`;
      return { prompt: `${prompt}assistant:`, answer, ...task };
    }
  }
}

function textOf({ content, input }: Turn): string {
  return input ? `${content}\n\n${input}` : content;
}
