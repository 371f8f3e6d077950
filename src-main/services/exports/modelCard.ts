import type { Run } from '../../contract/entities.ts';
import type { Licence } from '../../contract/modelLibrary.ts';
import type { CutModule, Evaluation, ExportFormat } from '../../contract/results.ts';
import { matrixStrategies } from '../../contract/training.ts';
import { methodOf } from '../../methods/registry.ts';
import { cutSentence, isGguf, keptVariance, loadsInPeft } from '../../options/exits.ts';
import { packageName } from './pythonPackage.ts';

/** What a model card is written from. */
export interface CardFacts {
  run: Run;
  format: ExportFormat;
  /** The base's repository, or its name: never a path of this machine. */
  base: string;
  /** What the base's folder says of its terms; null where it says nothing. */
  licence: Licence | null;
  /** Of the run and of its base, of the same version. */
  evaluations: readonly Evaluation[];
  /** The rows that the indices of ID-LoRA name lie in the file. */
  embedPivots?: boolean;
  /** How weights of the base are stored that are dequantized as they are read; null: none is. */
  quantization: string | null;
  /** Where the software that loads the files computes something else than the studio. */
  notes: readonly string[];
  /** Updates whose rank was cut; null: no cut was asked for. */
  cutModules: readonly CutModule[] | null;
}

/**
 * README.md of an export: what it is, how to load it, on what it was trained, and its scores with their intervals.
 * Names that people typed stand in it as text, whatever signs they hold.
 */
export function modelCard(facts: CardFacts): string {
  const sections = [
    frontMatter(facts),
    `# ${plain(facts.run.name)}`,
    what(facts),
    loading(facts),
    training(facts.run),
    data(facts.run),
    scores(facts),
    terms(facts),
  ];
  return `${sections.filter((section) => section !== '').join('\n\n')}\n`;
}

/** How the package beside an adapter is found. */
const startHere = 'Start Python here, or put this folder on PYTHONPATH.';

/** The card as it stands in a repository of the Hub: pasted code finds the files there. */
export function cardForRepository(card: string, repository: string): string {
  const name = JSON.stringify(repository);
  const fetching = [
    'import sys',
    'from huggingface_hub import snapshot_download',
    `sys.path.insert(0, snapshot_download(${name}))`,
    `import ${packageName}`,
  ];
  return card
    .replaceAll('"this folder"', name)
    .replace(`\nimport ${packageName}\n`, `\n${fetching.join('\n')}\n`)
    .replace(startHere, 'The first lines fetch it.');
}

/** What loads the files, as the Hub calls it. */
const libraries: Readonly<Record<ExportFormat, string>> = {
  peft: 'peft',
  lora: 'peft',
  merged: 'transformers',
  'gguf-lora': 'gguf',
  gguf: 'gguf',
};

export const isWhole = (format: ExportFormat) => format === 'merged' || format === 'gguf';

/** Identifiers as the Hub's front matter takes them. */
const identifier = /^[a-z0-9][a-z0-9.-]*$/;

function frontMatter({ run, format, base, licence }: CardFacts): string {
  const { method } = run.config.adapter;
  return [
    '---',
    `library_name: ${libraries[format]}`,
    'pipeline_tag: text-generation',
    `base_model: ${JSON.stringify(base)}`,
    `base_model_relation: ${isWhole(format) ? 'finetune' : 'adapter'}`,
    ...(licence && identifier.test(licence.name) ? [`license: ${licence.name}`] : []),
    'tags:',
    ...[...new Set(['id-lora-studio', method])].map((tag) => `- ${tag}`),
    '---',
  ].join('\n');
}

function what({ run, format, base, quantization, cutModules }: CardFacts): string {
  const { adapter, loadIn8bit, loadIn4bit } = run.config;
  const count =
    run.trainable === null
      ? ''
      : ` ${run.trainable.toLocaleString('en-US')} parameters${run.imported ? '' : ' were trained'}.`;
  const kind =
    adapter.method === 'full'
      ? `Every parameter of ${plain(base)} was trained.`
      : `${isWhole(format) ? `${plain(base)} with a merged` : 'An adapter of'} ${adapter.method}${isWhole(format) ? ' adapter' : ` for ${plain(base)}`}: rank ${adapter.rank}, alpha ${adapter.alpha}${adapter.rankStabilized ? ' (rank-stabilized)' : ''}, dropout ${adapter.dropout}, modules ${adapter.targets.join(', ')}${adapter.layers ? `, layers ${adapter.layers.join(', ')}` : ''}.`;
  const bits = loadIn4bit ? '4 bits (NF4)' : loadIn8bit ? '8 bits' : null;
  const rounded =
    bits === null
      ? ''
      : ` It was trained with the linear weights of the base rounded to ${bits}, and fits that model best.`;
  const frozen =
    format !== 'peft' &&
    methodOf(adapter)?.routing &&
    !(adapter.method === 'idlora' && adapter.router === 'fixed')
      ? ' The route of its experts is frozen at its mean over some rows, which makes it a LoRA: an approximation of what was trained.'
      : '';
  const cut = cutModules ? ` ${cutSentence(keptVariance(cutModules), cutModules)}` : '';
  const unpacked =
    quantization === null
      ? ''
      : ` The base’s weights were stored as ${quantization} and dequantized as they were read: what was trained fits these best.`;
  return `${kind}${count}${rounded}${unpacked}${frozen}${cut} Made with ID-LoRA Studio.`;
}

function loading({ run, format, base, embedPivots, notes }: CardFacts): string {
  const { method } = run.config.adapter;
  if (isGguf(format))
    return section(
      'How to load it',
      `\`\`\`sh\nllama-cli -m ${format === 'gguf' ? 'model.gguf' : 'base.gguf --lora adapter.gguf'}\n\nollama create my-model -f Modelfile && ollama run my-model\n\`\`\``,
      format === 'gguf'
        ? ''
        : `\`base.gguf\` is ${plain(base)} in llama.cpp's format, of any type: the adapter holds no weights of it.`,
      notes.map((note) => `- ${note}`).join('\n'),
    );
  const code =
    format === 'merged'
      ? [
          'from transformers import AutoModelForCausalLM, AutoTokenizer',
          'model = AutoModelForCausalLM.from_pretrained("this folder")',
          'tokenizer = AutoTokenizer.from_pretrained("this folder")',
        ]
      : [
          ...(format === 'lora' || loadsInPeft(method) ? [] : [`import ${packageName}`]),
          'from peft import PeftModel',
          'from transformers import AutoModelForCausalLM',
          `base = AutoModelForCausalLM.from_pretrained(${JSON.stringify(base)})`,
          'model = PeftModel.from_pretrained(base, "this folder")',
        ];
  const note =
    format === 'peft' && !loadsInPeft(method)
      ? `PEFT has no method ${method}: the package ${packageName} in this folder registers it. ${startHere}`
      : '';
  const identity =
    format === 'peft' && methodOf(run.config.adapter)?.refersToBase
      ? matrixStrategies.some((strategy) => strategy === run.config.adapter.pivots)
        ? 'In the place of rows of the base’s weights it has bases of its own (`idlora_basis`), an ablation. Another base is refused by its hash (`base_sha256`).'
        : embedPivots
          ? 'The rows of the base that its indices name lie beside them (`embed_pivots`): it needs no base of the same bytes.'
          : 'Its indices name rows of the base’s weights: another base is refused by its hash (`base_sha256`).'
      : '';
  return section('How to load it', `\`\`\`python\n${code.join('\n')}\n\`\`\``, note, identity);
}

/** Where an adapter from elsewhere came from, as others know it: no folder of this machine. */
function origin({ source, sha256 }: NonNullable<Run['imported']>): string {
  const place = source.startsWith('hub/') ? `, from ${plain(source.slice('hub/'.length))} on the Hub` : '';
  return `It was trained elsewhere${place}, and imported (adapter_model.safetensors with SHA-256 ${sha256.slice(0, 16)}…): how, and on which data, is not known here.`;
}

function training(run: Run): string {
  if (run.imported) return section('Training', origin(run.imported));
  const { config, step, totalSteps, lastHeldOutLoss, best, environment } = run;
  const rows: [string, string][] = [
    ['steps', `${step}${totalSteps !== null && totalSteps !== step ? ` of ${totalSteps}` : ''}`],
    ['rows a step', `${config.batch * config.accumulate}`],
    ['context', `${config.context} tokens`],
    ['optimizer', `${config.optimizer}, learning rate ${config.learningRate}, schedule ${config.schedule}`],
    ['precision', config.precision],
    ['seed', `${config.seed}`],
  ];
  if (lastHeldOutLoss !== null)
    rows.push(['held-out loss', `${lastHeldOutLoss.toFixed(4)} nats per trained token`]);
  if (best !== null && config.keepBest)
    rows.push(['best step', `${best.step} (held-out loss ${best.loss.toFixed(4)})`]);
  if (run.start)
    rows.push(['began with', `the adapter of the run ${run.start.runName} at step ${run.start.step}`]);
  if (environment)
    rows.push(['software', `studio ${environment.studio}, TensorFlow ${environment.tensorflow}`]);
  return section('Training', table(['what', 'value'], rows));
}

function data({ config, dataContract, datasetName, imported }: Run): string {
  if (imported) return '';
  if (!dataContract) return section('Data', plain(datasetName));
  const { sources, trainRows, heldOutRows, tokens, trainedTokens, truncatedRows, hash } = dataContract;
  const number = (value: number) => value.toLocaleString('en-US');
  const mixed =
    sources.length > 1
      ? table(
          ['source', 'asked', 'rows a pass', 'epochs', 'share'],
          sources.map((source) => [
            `${source.dataset} (${source.split})`,
            source.asked,
            number(source.rows),
            source.epochs.toFixed(2),
            `${(100 * source.share).toFixed(1)} %`,
          ]),
        )
      : '';
  return section(
    'Data',
    `${plain(datasetName)}: ${number(trainRows)} rows a pass, ${number(heldOutRows)} held out, ${number(tokens)} tokens, ${number(trainedTokens)} of them trained on; ${number(truncatedRows)} rows were cut to the context. Template: ${plain(config.template)}.`,
    mixed,
    hash === null
      ? ''
      : `Contract ${hash.slice(0, 16)} (data_contract.json: rows, versions, template, tokenizer).`,
  );
}

function scores({ run, evaluations }: CardFacts): string {
  if (evaluations.length === 0) return section('Scores', 'It was not scored.');
  const rows = evaluations.map((e) => [
    e.benchmark,
    e.runId === null ? 'base' : run.name,
    formatted(e),
    `${e.n}`,
    `${e.shots}`,
    `${e.seed}`,
    e.dataHash.slice(0, 8),
    e.version,
  ]);
  return section(
    'Scores',
    table(['benchmark', 'of', 'score (95 % interval)', 'items', 'shots', 'seed', 'data', 'version'], rows),
    'Accuracy is the share of right answers; perplexity is per answer token. Scores of different data or versions do not compare.',
  );
}

function formatted({ metric, score, interval: [low, high] }: Evaluation): string {
  const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
  return metric === 'accuracy'
    ? `${percent(score)} (${percent(low)} to ${percent(high)})`
    : `${score.toPrecision(4)} (${low.toPrecision(4)} to ${high.toPrecision(4)})`;
}

function terms({ base, licence }: CardFacts): string {
  const stated =
    licence === null
      ? `The folder of ${plain(base)} states no licence: look for it where the model came from.`
      : `${plain(base)} states its licence as ${plain(licence.name)} (${plain(licence.source)}).`;
  return section('Terms', `${stated} What holds for the base and for the data holds for this, too.`);
}

function section(title: string, ...parts: string[]): string {
  return [`## ${title}`, ...parts.filter((part) => part !== '')].join('\n\n');
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map(plain).join(' | ')} |`;
  return [line(head), `| ${head.map(() => '---').join(' | ')} |`, ...rows.map(line)].join('\n');
}

/** Text as Markdown shows it and nothing else: on one line, without markup, HTML or links. */
function plain(text: string): string {
  return text
    .replace(/\s+/g, ' ')
    .replace(/[\\`*_[\]|#!~]/g, String.raw`\$&`)
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;');
}
