import { join } from 'node:path';
import type { TemplateFacts } from '../../contract/datasets/previews.ts';
import type { Dataset, Model, Run } from '../../contract/entities.ts';
import { StudioError } from '../../contract/errors.ts';
import type { ExportFormat } from '../../contract/results.ts';
import { renderingOf } from '../../data/rendering/tokenizeRow.ts';
import { writeFileAtomic } from '../../formats/files/atomicFile.ts';
import { withTokenizerThread } from '../tokenizer/tokenizerThread.ts';
import { goTemplate, ollamaTemplateOf, probeConversations, type OllamaTemplate } from './ollamaTemplate.ts';

export const modelfileName = 'Modelfile';

/** How a run's rows became text, for software that asks in the same way. */
export interface AskedAs {
  /** Null: it cannot be read any more. */
  facts: TemplateFacts | null;
  /** Null: texts go through no template, or through one that Ollama's language cannot say here. */
  ollama: OllamaTemplate | null;
}

/** The run's template for its model. A model or a template that cannot be used any more is no reason to fail. */
export async function templateOfRun(
  { run, model, dataset }: { run: Run; model: Model; dataset: Dataset | null },
  signal: AbortSignal,
): Promise<AskedAs> {
  const rendering = renderingOf(dataset ?? { format: 'chat' }, run.config);
  try {
    return await withTokenizerThread(signal, async (thread): Promise<AskedAs> => {
      const facts = await thread.renderer(model, rendering);
      if (facts.name === 'none') return { facts, ollama: null };
      const { bosToken } = await beginOf(thread, model);
      // The system text of the run is a line of its own.
      const bare = { ...rendering, template: { ...rendering.template, system: null } };
      const prompts = await thread.prompts(
        model,
        probeConversations.map((turns) => ({ turns })),
        bare,
      );
      return {
        facts,
        ollama: ollamaTemplateOf(
          prompts.map(({ text }) => text),
          bosToken,
        ),
      };
    });
  } catch (error) {
    if (signal.aborted || !(error instanceof StudioError)) throw error;
    return { facts: null, ollama: null };
  }
}

/** The text of what the tokenizer puts before a text. */
async function beginOf(
  thread: Parameters<Parameters<typeof withTokenizerThread>[1]>[0],
  model: Model,
): Promise<{ bosToken: string }> {
  const pieces = await thread.tokenize(model, 'a', true);
  const bare = await thread.tokenize(model, 'a', false);
  const first = pieces.length > bare.length ? pieces[0] : undefined;
  return { bosToken: first?.text ?? '' };
}

/**
 * Writes how Ollama makes a model of the files. @returns the names of what was written
 * @param format `gguf`, or `gguf-lora`, to which whoever runs it has the base
 */
export function writeModelfile(
  folder: string,
  format: ExportFormat,
  { asked: { facts, ollama }, run, base }: { asked: AskedAs; run: Run; base: string },
): string[] {
  const { system } = run.config;
  const lines =
    format === 'gguf'
      ? ['FROM ./model.gguf']
      : [
          `# The base is ${oneLine(base)}: put it beside this file as base.gguf, or write what Ollama calls it.`,
          'FROM ./base.gguf',
          'ADAPTER ./adapter.gguf',
        ];
  if (ollama) lines.push(`TEMPLATE """${goTemplate(ollama)}"""`);
  else if (facts?.name === 'none') lines.push('TEMPLATE """{{ .Prompt }}"""');
  else
    lines.push(
      '# The template of the training cannot be said in Ollama’s language: Ollama takes what it knows of the base.',
    );
  // Three quotes end a value, and there is no sign to say them otherwise.
  if (system !== null && !system.includes('"""')) lines.push(`SYSTEM """${system}"""`);
  const stops = [...new Set([...(facts?.endTokens ?? []), ...(facts?.stop ?? [])])];
  for (const stop of stops) if (!/["\n\r]/.test(stop)) lines.push(`PARAMETER stop "${stop}"`);
  writeFileAtomic(join(folder, modelfileName), `${lines.join('\n')}\n`);
  return [modelfileName];
}

/** The template of the training as llama.cpp reads it: without the marks of what was trained. */
export function chatTemplateOf({ facts }: AskedAs): string | null {
  // A comment trims white space around it as the marks do.
  return facts?.source?.replace(/\{%(-?)\s*(?:end)?generation\s*(-?)%\}/g, '{#$1 $2#}') ?? null;
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, ' ');
}
