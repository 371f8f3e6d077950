import type { HandOver } from '../contract/cluster.ts';
import {
  exportFormats,
  exportOptionsSchema,
  type ComparedExit,
  type PushedExport,
} from '../contract/results.ts';
import { certificateLines, certificateVerdict, exitSentence } from '../options/exits.ts';
import { procedures } from '../contract/procedures.ts';
import type { PreviewRow, TemplateFacts } from '../contract/datasets/previews.ts';
import {
  check,
  list,
  number,
  parseCommand,
  parseOptions,
  requiredText,
  text,
  usageError,
  type Values,
} from './arguments.ts';
import { withCore, type CommandContext } from './commandContext.ts';
import { formatBytes, formatCount, formatTable } from './output.ts';
import { withTemplateFile } from './trainingArguments.ts';

/**
 * generate --model M [--adapter A] --prompt P [--chat --system S --template T] [--max-tokens N --temperature 0 --top-p
 * 1 --seed S]
 */
export async function generateCommand(args: readonly string[], command: CommandContext): Promise<void> {
  const values = parseOptions(args, {
    model: { type: 'string' },
    adapter: { type: 'string' },
    prompt: { type: 'string' },
    chat: { type: 'boolean' },
    ...templateFlags,
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
      chat: values['chat'] === true ? templateOption(values) : null,
      maxTokens: number(values, 'max-tokens'),
      temperature: number(values, 'temperature'),
      topP: number(values, 'top-p'),
      seed: number(values, 'seed'),
      precision: text(values, 'precision'),
      task: number(values, 'task'),
    },
    (path) => `--${path === 'maxTokens' ? 'max-tokens' : path === 'topP' ? 'top-p' : path}`,
  );
  if (input.chat === null && (values['template'] ?? values['system']) !== undefined)
    throw usageError(
      '--template and --system go with --chat: without it a prompt is continued as it stands.',
    );
  await withCore(values, 'write', async ({ generation }, output) => {
    const { template, ...result } = await generation.text(input, command.signal);
    if (template) for (const note of templateNotes(template)) output.progress(note);
    output.result(result, () => result.text);
  });
}

/** logits --model M [--adapter A] --ids 1,2,3 --out FILE.safetensors */
export async function logitsCommand(args: readonly string[], command: CommandContext): Promise<void> {
  const values = parseOptions(args, {
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

/**
 * export RUN [--format peft or lora or merged or gguf-lora or gguf or cluster --out DIR --calibrate DATASET
 * --embed-pivots --dtype f32 or f16 or bf16 or q8_0 or q4_k_m --rank R]; without --out into exports/ of the data folder
 */
export async function exportCommand(args: readonly string[], command: CommandContext): Promise<void> {
  const { values, positionals } = parseCommand(args, {
    format: { type: 'string' },
    out: { type: 'string' },
    calibrate: { type: 'string' },
    'embed-pivots': { type: 'boolean' },
    dtype: { type: 'string' },
    rank: { type: 'string' },
    'check-elsewhere': { type: 'boolean' },
    compare: { type: 'boolean' },
    measure: { type: 'boolean' },
  });
  if (positionals.length !== 1)
    throw usageError(
      `Usage: export RUN [--format ${exportFormats.join(' or ')} or cluster --out DIR --calibrate DATASET]`,
    );
  const asked = text(values, 'format');
  const format = exportFormats.find((name) => name === asked);
  if (asked !== undefined && asked !== 'cluster' && !format)
    throw usageError(`There is no export format "${asked}"; there are ${exportFormats.join(', ')}, cluster.`);
  await withCore(values, 'write', async ({ exports, runs, cluster }, output) => {
    const folder = text(values, 'out');
    if (values['measure'] === true && values['compare'] !== true)
      throw usageError('--measure belongs to --compare: it decodes with each form that was exported.');
    if (values['compare'] === true) {
      const rows = await exports.compare(
        { run: positionals[0]!, measure: values['measure'] === true },
        command.signal,
      );
      output.result(rows, () => comparedText(rows));
      return;
    }
    if (asked === 'cluster') {
      const made = await cluster.handOver({ run: positionals[0]!, folder }, command.signal);
      output.result(made, () => handOverText(made));
      return;
    }
    output.progress(exitSentence(runs.get(positionals[0]!).config.adapter.method));
    const options = check(
      exportOptionsSchema,
      {
        calibration: text(values, 'calibrate'),
        ...(values['embed-pivots'] === true && { embedPivots: true }),
        dtype: text(values, 'dtype')?.toUpperCase(),
        rank: number(values, 'rank'),
        ...(values['check-elsewhere'] === true && { checkElsewhere: true }),
      },
      (path) => `--${path === 'calibration' ? 'calibrate' : path}`,
    );
    const request = { run: positionals[0]!, format, folder, ...options };
    const record = await exports.create(request, command.signal);
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

function comparedText(rows: readonly ComparedExit[]): string {
  return formatTable(
    ['form', 'size', 'greatest difference', 'KL', 'same token', 'certificate', 'tokens/s', 'runs in'],
    rows.map(({ title, made, problem, tokensPerSecond, runsIn }) => [
      title,
      made ? formatBytes(made.sizeBytes) : '–',
      made?.maxLogitDifference.toExponential(1) ?? '–',
      made?.kl?.toExponential(1) ?? '–',
      made?.sameChoices == null ? '–' : `${(100 * made.sameChoices).toFixed(0)} %`,
      made?.verdict ?? (problem === null ? 'not exported' : 'not there'),
      tokensPerSecond?.toFixed(1) ?? '–',
      problem ?? runsIn,
    ]),
  );
}

/** push RUN-or-FOLDER --to OWNER/NAME [--public --overwrite]: an export to the Hub, private where nothing is said */
export async function pushCommand(args: readonly string[], command: CommandContext): Promise<void> {
  const { values, positionals } = parseCommand(args, {
    to: { type: 'string' },
    public: { type: 'boolean' },
    overwrite: { type: 'boolean' },
  });
  if (positionals.length !== 1) throw usageError('Usage: push RUN-or-FOLDER --to OWNER/NAME');
  const request = {
    export: positionals[0]!,
    repository: requiredText(values, 'to'),
    isPublic: values['public'] === true,
    overwrite: values['overwrite'] === true,
  };
  await withCore(values, 'write', async ({ exports }, output) => {
    const pushed = await exports.push(request, command.signal);
    output.result(pushed, () => pushedText(pushed));
  });
}

function pushedText({ url, commit, isNew, sent, alreadyThere }: PushedExport): string {
  const were = alreadyThere.length > 0 ? ` ${alreadyThere.length} were there already.` : '';
  return `${isNew ? 'Made' : 'Wrote to'} ${url}, commit ${commit.slice(0, 8)}: sent ${sent.length} files.${were}`;
}

/** What was handed over to a cluster, and what to do with it. */
export function handOverText({ folder, totalSteps, rows, heldOutRows, sizeBytes, notes }: HandOver): string {
  return [
    `Handed over to ${folder} (${formatBytes(sizeBytes)}): ${formatCount(rows)} rows and ${formatCount(heldOutRows)} held-out ones, in the order of ${formatCount(totalSteps)} steps.`,
    'There: pip install -r requirements.txt && torchrun --nproc-per-node 8 train.py --base FOLDER-OR-REPOSITORY',
    'Back here: runs import FOLDER',
    ...notes,
  ].join('\n');
}

/**
 * datasets preview NAME --model M [--template NAME-or-FILE --system TEXT --train-on ... --truncation ... --context N
 * --limit N --offset N --split PART]: what training would see
 */
export async function previewCommand(args: readonly string[]): Promise<void> {
  const { values, positionals } = parseCommand(args, {
    model: { type: 'string' },
    ...templateFlags,
    'train-on': { type: 'string' },
    truncation: { type: 'string' },
    context: { type: 'string' },
    split: { type: 'string' },
    limit: { type: 'string' },
    offset: { type: 'string' },
  });
  if (positionals.length !== 1) throw usageError('Usage: datasets preview NAME --model M');
  const input = check(
    procedures['datasets.preview'].input,
    {
      dataset: positionals[0],
      model: requiredText(values, 'model'),
      template: templateOption(values),
      trainOn: text(values, 'train-on'),
      truncation: text(values, 'truncation'),
      context: number(values, 'context'),
      split: text(values, 'split'),
      limit: number(values, 'limit'),
      offset: number(values, 'offset'),
    },
    (path) => `--${path === 'trainOn' ? 'train-on' : path.split('.')[0]}`,
  );
  await withCore(values, 'write', async ({ previews }, output) => {
    const { template, rows, context } = await previews.rows(input);
    const notes = templateNotes(template);
    for (const note of notes) output.progress(note);
    const shown = rows.map(
      ({ ids, trained, text: seen, isCut, leftOut, refusal, tokens, trainedTokens }) => ({
        ids,
        trained,
        text: seen,
        cut: isCut,
        leftOut,
        ...(refusal !== null && { refusal }),
        tokens,
        trainedTokens,
      }),
    );
    output.result(shown, () =>
      rows.length === 0 ? 'There are no rows there.' : rows.map((row) => rowText(row, context)).join('\n\n'),
    );
  });
}

/** A row with what is trained on in ⟦ ⟧, and where it is cut. */
function rowText(
  { index, pieces, tokens, trainedTokens, leftOut, refusal }: PreviewRow,
  context: number,
): string {
  const head = `Row ${index + 1}: ${tokens} tokens, ${trainedTokens} of them trained on`;
  const why = {
    refused: `: left out, the template says: ${refusal ?? ''}`,
    too_long: `: left out, longer than the context of ${context}`,
    nothing_trained: ': left out, nothing to train on is left',
  };
  let text = '';
  let before = { isTrained: false, isKept: true };
  for (const piece of pieces) {
    if (before.isTrained && !piece.isTrained) text += '⟧';
    if (before.isKept !== piece.isKept) text += '✂';
    if (!before.isTrained && piece.isTrained) text += '⟦';
    text += piece.text;
    before = piece;
  }
  return `${head}${leftOut === null ? '' : why[leftOut]}\n${text}${before.isTrained ? '⟧' : ''}`;
}

const templateFlags = { template: { type: 'string' }, system: { type: 'string' } } as const;

/** What is asked for of a template: its name or a file, and a system text. */
export function templateOption(values: Values): Record<string, unknown> {
  const { template: name, templateSource: source } = withTemplateFile({ template: text(values, 'template') });
  const asked = Object.entries({ name, source, system: text(values, 'system') });
  return Object.fromEntries(asked.filter(([, value]) => value !== undefined));
}

/** What of a template is not seen at its results. */
function templateNotes({ name, mergesSystem, hasMarks }: TemplateFacts): string[] {
  const chosen = name === 'model' ? 'the model’s own' : name.replace('_', ' and ');
  return [
    `Template: ${chosen}${hasMarks ? ', which marks what the assistant says' : ''}`,
    ...(mergesSystem ? ['It takes no system turn: a system text is put before the first question.'] : []),
  ];
}
