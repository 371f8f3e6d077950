import { exportFormats } from '../contract/results.ts';
import { certificateLines, certificateVerdict, exitSentence } from '../options/exits.ts';
import { procedures } from '../contract/procedures.ts';
import { check, list, number, parseCommand, requiredText, text, usageError } from './arguments.ts';
import { withCore, type CommandContext } from './commandContext.ts';

/** generate --model M [--adapter A] --prompt P [--max-tokens N --temperature 0 --top-p 1 --seed S] */
export async function generateCommand(args: readonly string[], command: CommandContext): Promise<void> {
  const { values } = parseCommand(args, {
    model: { type: 'string' },
    adapter: { type: 'string' },
    prompt: { type: 'string' },
    'max-tokens': { type: 'string' },
    temperature: { type: 'string' },
    'top-p': { type: 'string' },
    seed: { type: 'string' },
    precision: { type: 'string' },
    task: { type: 'string' },
  });
  const input = check(
    procedures['generate.text'].input,
    {
      model: requiredText(values, 'model'),
      adapter: text(values, 'adapter'),
      prompt: requiredText(values, 'prompt'),
      maxTokens: number(values, 'max-tokens'),
      temperature: number(values, 'temperature'),
      topP: number(values, 'top-p'),
      seed: number(values, 'seed'),
      precision: text(values, 'precision'),
      task: number(values, 'task'),
    },
    (path) => `--${path === 'maxTokens' ? 'max-tokens' : path === 'topP' ? 'top-p' : path}`,
  );
  await withCore(values, 'write', async ({ generation }, output) => {
    const result = await generation.text(input, command.signal);
    output.result(result, () => result.text);
  });
}

/** logits --model M [--adapter A] --ids 1,2,3 --out FILE.safetensors */
export async function logitsCommand(args: readonly string[], command: CommandContext): Promise<void> {
  const { values } = parseCommand(args, {
    model: { type: 'string' },
    adapter: { type: 'string' },
    ids: { type: 'string' },
    out: { type: 'string' },
    precision: { type: 'string' },
    task: { type: 'string' },
  });
  const ids = list(values, 'ids')?.map(Number);
  if (!ids?.length || !ids.every((id) => Number.isSafeInteger(id) && id >= 0))
    throw usageError('--ids needs token ids, for example --ids 1,2,3.');
  const input = check(
    procedures['generate.logits'].input,
    {
      model: requiredText(values, 'model'),
      adapter: text(values, 'adapter'),
      ids,
      out: requiredText(values, 'out'),
      precision: text(values, 'precision'),
      task: number(values, 'task'),
    },
    (path) => `--${path}`,
  );
  await withCore(values, 'write', async ({ generation }, output) => {
    const result = await generation.logits(input, command.signal);
    output.result(result, () => `Wrote logits [${result.tokens}, ${result.vocabulary}] to ${result.file}.`);
  });
}

/** export RUN [--format peft or merged --out DIR]; without --out into exports/ of the data folder */
export async function exportCommand(args: readonly string[], command: CommandContext): Promise<void> {
  const { values, positionals } = parseCommand(args, { format: { type: 'string' }, out: { type: 'string' } });
  if (positionals.length !== 1) throw usageError('Usage: export RUN [--format peft or merged --out DIR]');
  const asked = text(values, 'format');
  const format = exportFormats.find((name) => name === asked);
  if (asked !== undefined && !format)
    throw usageError(`There is no export format "${asked}"; there are ${exportFormats.join(' and ')}.`);
  await withCore(values, 'write', async ({ exports, runs }, output) => {
    const folder = text(values, 'out');
    output.progress(exitSentence(runs.get(positionals[0]!).config.adapter.method));
    const record = await exports.create({ run: positionals[0]!, format, folder }, command.signal);
    const { certificate } = record;
    output.result(record, () =>
      [
        `Exported to ${record.folder}: ${record.files.map(({ name }) => name).join(', ')}.`,
        ...certificateLines(certificate),
      ].join('\n'),
    );
    if (!certificateVerdict(certificate).isGood) process.exitCode = 1;
  });
}
