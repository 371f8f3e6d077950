import { readFileSync } from 'node:fs';
import {
  mixDeduplications,
  mixOrders,
  mixRecipeSchema,
  mixStops,
  type Mix,
  type MixAmount,
  type MixCount,
  type MixRecipe,
} from '../contract/mixing/mixes.ts';
import { countInput } from '../contract/mixing/mixProcedures.ts';
import type { Core } from '../core/createCore.ts';
import { readMixDocument, type NumberMeaning } from '../options/mixDocument.ts';
import { typedPath } from '../services/homePaths.ts';
import {
  check,
  flag,
  none,
  number,
  only,
  parseCommand,
  requiredText,
  text,
  usageError,
  type Values,
} from './arguments.ts';
import { withCore, type CommandContext } from './commandContext.ts';
import { formatCount, formatTable, type Output } from './output.ts';

const unitFlags = { rows: 'rows', tokens: 'tokens', 'trained-tokens': 'trained_tokens' } as const;

/** A source by its name or path; the amount null: by its size. */
interface Part {
  name: string;
  amount: MixAmount | null;
}

/**
 * mix create NAME --part DATASET=AMOUNT ... [rules], mix import FILE --name N, mix show NAME, mix list, mix remove
 * NAME
 */
export async function mixCommand(
  [action, ...args]: readonly string[],
  command: CommandContext,
): Promise<void> {
  const { values, positionals } = parseCommand(args, {
    part: { type: 'string', multiple: true },
    by: { type: 'string' },
    unit: { type: 'string' },
    stop: { type: 'string' },
    size: { type: 'string' },
    'max-epochs': { type: 'string' },
    temperature: { type: 'string' },
    deduplicate: { type: 'string' },
    order: { type: 'string' },
    seed: { type: 'string' },
    model: { type: 'string' },
    name: { type: 'string' },
    context: { type: 'string' },
    batch: { type: 'string' },
    packing: { type: 'string' },
  });
  const mode = action === 'list' ? 'read' : 'write';
  await withCore(values, mode, async (core, output) => {
    const { mixes } = core;
    switch (action) {
      case 'create': {
        const name = only(positionals, 'mix create NAME');
        const parts = readParts(values);
        const recipe = await recipeOf(core, parts, rulesOf(values));
        await showNew(core, { name, recipe }, values, { command, output });
        return;
      }
      case 'import': {
        const file = only(positionals, 'mix import FILE');
        const document = readMixDocument(readFileSync(typedPath(file), 'utf8'), meaningOf(values));
        output.progress(
          `Read as ${document.from} means it: ${document.parts.length} sources, counted in rows.`,
        );
        const recipe = await recipeOf(core, document.parts, { ...document.rules, ...rulesOf(values) });
        await showNew(core, { name: requiredText(values, 'name'), recipe }, values, { command, output });
        return;
      }
      case 'show': {
        const mix = mixes.get(only(positionals, 'mix show NAME'));
        const count = await countOf(core, mix, values, { command, output });
        output.result(shown(mix, count), () => mixText(mix, count));
        return;
      }
      case 'list': {
        none(positionals);
        const all = mixes.list();
        output.result(all, () =>
          all.length === 0
            ? 'No mixes yet. Make one with: mix create NAME --part DATASET=30% --part OTHER=70%'
            : formatTable(
                ['name', 'sources', 'unit', 'stop', 'seed'],
                all.map(({ name, sources, unit, stop, seed }) => [
                  name,
                  String(sources.length),
                  unit.replace('_', ' '),
                  stop,
                  String(seed),
                ]),
              ),
        );
        return;
      }
      case 'remove': {
        const name = only(positionals, 'mix remove NAME');
        mixes.remove(name);
        output.result({ removed: name }, () => `Removed the mix "${name}".`);
        return;
      }
      default:
        throw usageError(
          `mix: unknown action "${action ?? ''}"; there are create, import, show, list and remove.`,
        );
    }
  });
}

/** A mix that cannot be counted is not kept: the same command can be given again, corrected. */
async function showNew(
  core: Core,
  given: { name: string; recipe: MixRecipe },
  values: Values,
  parts: { command: CommandContext; output: Output },
): Promise<void> {
  const mix = core.mixes.create({ ...given, model: await modelOf(core, given.recipe, values) });
  let count: MixCount;
  try {
    count = await countOf(core, mix, values, parts);
  } catch (error) {
    core.mixes.remove(mix.id);
    throw error;
  }
  parts.output.result(shown(mix, count), () => `Made the mix "${mix.name}".\n${mixText(mix, count)}`);
}

function shown(mix: Mix, count: MixCount) {
  const { sources, ...rest } = mix;
  return { ...rest, recipe: { sources }, ...count };
}

async function countOf(
  core: Core,
  mix: Mix,
  values: Values,
  { command, output }: { command: CommandContext; output: Output },
): Promise<MixCount> {
  const recipe = mixRecipeSchema.parse(mix);
  const input = check(
    countInput,
    {
      recipe,
      model: (await modelOf(core, recipe, values)) ?? mix.modelId,
      options: {
        ...(number(values, 'context') !== undefined && { context: number(values, 'context') }),
        ...(number(values, 'batch') !== undefined && { batch: number(values, 'batch') }),
        ...(flag(values, 'packing') !== undefined && { packing: flag(values, 'packing') }),
      },
    },
    (path) => `--${path.split('.').at(-1)}`,
  );
  if (input.model !== null)
    output.progress(`Counting with the tokenizer of ${core.models.get(input.model).name}.`);
  return core.mixes.count(input, command.signal);
}

/** The model that counts: the one that is named (a folder is added), or the only one there is; null: rows alone. */
async function modelOf({ models }: Core, { unit }: MixRecipe, values: Values): Promise<string | null> {
  const named = text(values, 'model');
  if (named !== undefined) return (await models.getOrAdd(named)).id;
  const known = models.list();
  if (unit === 'rows' || known.length !== 1) return null;
  return known[0]!.id;
}

/** --part DATASET=AMOUNT: a number with % is a share, one with x epochs; a bare one is what --by says. */
function readParts(values: Values): Part[] {
  const given = values['part'];
  const parts = (Array.isArray(given) ? given : []).map((part) => {
    const at = part.lastIndexOf('=');
    const name = at < 0 ? part : part.slice(0, at);
    const written = at < 0 ? null : part.slice(at + 1).trim();
    if (written === null) return { name, value: null, suffix: '' };
    const [, digits = '', suffix = ''] = /^([\d_,.eE+]+)\s*(%|x)?$/.exec(written) ?? [];
    const value = Number(digits.replace(/[_,]/g, ''));
    if (digits === '' || !Number.isFinite(value) || name === '')
      throw usageError(
        `--part "${part}" is no DATASET=AMOUNT.`,
        'Write for example --part gsm8k=30% (share), gsm8k=2x (epochs), or gsm8k=30 with --by share, weight, epochs or count.',
      );
    return { name, value, suffix };
  });
  if (parts.length === 0)
    throw usageError('A mix needs sources.', 'Name them: --part DATASET=30% --part OTHER=70%');
  const by = text(values, 'by');
  const kind = by === undefined ? undefined : check(mixRecipeBy, by, () => '--by');
  const bare = parts.filter(({ value, suffix }) => value !== null && suffix === '');
  const sum = bare.reduce((total, { value }) => total + value!, 0);
  const isPercent = Math.abs(sum - 100) < 0.5;
  const isFraction = Math.abs(sum - 1) < 0.005;
  if (bare.length > 0 && kind === undefined && !isPercent && !isFraction)
    throw usageError(
      `The amounts ${bare.map(({ name, value }) => `${name}=${value}`).join(', ')} could be shares, weights, epochs or counts.`,
      'Say which with --by share, --by weight, --by epochs or --by count, or write 30% and 2x.',
    );
  return parts.map(({ name, value, suffix }): Part => {
    if (value === null) return { name, amount: null };
    if (suffix === '%') return { name, amount: { by: 'share', value } };
    if (suffix === 'x') return { name, amount: { by: 'epochs', value } };
    const own = kind ?? 'share';
    return { name, amount: { by: own, value: own === 'share' && isFraction ? 100 * value : value } };
  });
}

const mixRecipeBy = mixRecipeSchema.shape.sources.element.shape.amount.unwrap().unwrap().shape.by;

function rulesOf(values: Values): Partial<MixRecipe> {
  const size = number(values, 'size');
  const stop = text(values, 'stop') ?? (size === undefined ? undefined : 'size');
  const unit = text(values, 'unit');
  if (unit !== undefined && !Object.hasOwn(unitFlags, unit))
    throw usageError(`--unit "${unit}": there are ${Object.keys(unitFlags).join(', ')}.`);
  const rules = {
    unit: unit === undefined ? undefined : unitFlags[unit as keyof typeof unitFlags],
    stop: oneOf('stop', stop, mixStops),
    size,
    maxEpochs: number(values, 'max-epochs'),
    temperature: number(values, 'temperature'),
    deduplicate: oneOf('deduplicate', text(values, 'deduplicate'), mixDeduplications),
    order: oneOf('order', text(values, 'order'), mixOrders),
    seed: number(values, 'seed'),
  };
  return Object.fromEntries(Object.entries(rules).filter(([, value]) => value !== undefined));
}

function oneOf<T extends string>(
  name: string,
  value: string | undefined,
  choices: readonly T[],
): T | undefined {
  if (value === undefined || (choices as readonly string[]).includes(value)) return value as T | undefined;
  throw usageError(`--${name} "${value}": there are ${choices.join(', ')}.`);
}

function meaningOf(values: Values): NumberMeaning | undefined {
  const by = text(values, 'by');
  if (by === undefined || by === 'weight' || by === 'epochs' || by === 'count') return by;
  throw usageError(`--by "${by}": numbers of a file are weight, epochs or count.`);
}

/** A recipe of sources by name; files are imported. */
async function recipeOf(core: Core, parts: readonly Part[], rules: Partial<MixRecipe>): Promise<MixRecipe> {
  const sources: unknown[] = [];
  for (const { name, amount } of parts) {
    const { kind, id } = await core.mixes.sourceOf(name);
    sources.push({ kind, id, amount });
  }
  return check(
    mixRecipeSchema,
    { ...rules, sources },
    (path) => `--${path.replace('maxEpochs', 'max-epochs')}`,
  );
}

function mixText(mix: Mix, count: MixCount): string {
  const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
  const tokens = (value: number | null) => (value === null ? '–' : formatCount(value));
  const table = formatTable(
    [
      'source',
      'asked',
      'rows',
      'unique',
      'repeated',
      'epochs',
      'tokens',
      'trained tokens',
      'share',
      'before cut',
    ],
    count.sources.map((source) => [
      source.dataset,
      source.asked,
      formatCount(source.rows),
      formatCount(source.uniqueRows),
      formatCount(source.repeatedRows),
      source.epochs.toFixed(2),
      tokens(source.tokens),
      tokens(source.trainedTokens),
      percent(source.share),
      percent(source.shareBeforeTruncation),
    ]),
  );
  const filled = count.fillRate === null ? '' : `, ${percent(count.fillRate)} of the slots filled`;
  return [
    table,
    `One pass: ${formatCount(count.rows)} rows, ${tokens(count.trainedTokens)} trained tokens, ${formatCount(count.stepsPerEpoch)} steps${filled}; ${formatCount(count.heldOutRows)} rows held out. Shares are of ${mix.unit.replace('_', ' ')}, at a context of ${count.context}.`,
    ...count.warnings.map((warning) => `Note: ${warning}`),
    `Hash: ${count.hash}`,
  ].join('\n');
}
