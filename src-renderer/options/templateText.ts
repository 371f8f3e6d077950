import type { TemplateFacts } from '../../src-main/contract/datasets/previews.ts';
import { fieldTexts } from './fields.ts';

type Said = Pick<TemplateFacts, 'name' | 'mergesSystem' | 'endTokens' | 'stop'>;

/** What text goes through, in words: the template, and the system text where there is one. */
export function templateText({ name, mergesSystem }: Said, system: string | null): string {
  const choices: Readonly<Record<string, string>> = fieldTexts.template.choices ?? {};
  const template = name === 'model' ? 'the model’s own template' : `the template “${choices[name] ?? name}”`;
  if (!system) return template;
  return `${template}, with the system text “${system}”${mergesSystem ? ' before the question' : ''}`;
}

/** Where an answer ends: its tokens and texts by name. */
export function endingText({ endTokens, stop }: Said): string {
  const ends = [
    ...(endTokens.length > 0 ? [`at ${listed(endTokens)}`] : []),
    ...(stop.length > 0 ? [`before ${listed(stop.map((text) => JSON.stringify(text)))}`] : []),
  ];
  return ends.length === 0
    ? 'Nothing but its length ends an answer.'
    : `An answer ends ${ends.join(', or ')}.`;
}

function listed(texts: readonly string[]): string {
  return texts.length < 2 ? texts.join('') : `${texts.slice(0, -1).join(', ')} or ${texts.at(-1)}`;
}
