import type { Quantization } from '../contract/training.ts';
import {
  baseSwitches,
  matters,
  optionChoices,
  optionDeclarations,
  optionDefaults,
  optionNames,
  type OptionName,
} from '../options/trainingOptions.ts';
import { benchmarkInfos } from '../evaluation/benchmarks/registry.ts';
import { chatHelp } from './chat/chatOptions.ts';
import { optionText } from '../options/optionText.ts';

const benchmarkNames = benchmarkInfos.map(({ name }) => name).join(', ');

/** How an option is shown where its default says too little. */
const examples: Partial<Record<OptionName, string>> = {
  targets: 'all|q_proj,v_proj',
  layers: 'all|0-7,12',
  paths: 'all|model.layers.0.mlp.up_proj,...',
  rankPattern: "q_proj=16,'layers\\.[0-3]\\\\.mlp\\..*=4'",
  alphaPattern: 'q_proj=32',
  template: `${optionChoices('template').join('|').replace('custom', 'FILE')}`,
  templateSource: 'JINJA',
  system: 'TEXT',
  samples: `PROMPT|'{"prompts":[...],"every":0,"maxTokens":64}'`,
};

/** What the name of an option does not say. */
const remarks: Partial<Record<OptionName, string>> = {
  alpha: 'twice the rank unless given',
  rankStabilized: 'alpha / sqrt(rank)',
  paths: 'of --targets and --layers these alone',
  template: 'auto: the model’s own, if any',
  system: 'for conversations that have none',
  truncation: 'of rows longer than the context: their end, their begin, all of them',
  packing: 'short rows share the rows of the batch',
  gradientCheckpointing: 'less memory, more time',
  tf32: 'on a card: products of f32 rounded to 10 bits, faster',
  loraPlusRatio: 'rate of B matrices over --lr',
  earlyStoppingPatience: 'evaluations',
  keepBest: 'end with the lowest held-out loss',
  samples: 'answered during training',
};

const baseRemarks: Readonly<Record<Quantization, string>> = {
  none: '',
  int8: 'the frozen base takes a byte a weight',
  nf4: 'half a byte: NF4, as bitsandbytes rounds',
};

/** The paragraph on `train`: every declared option with its default or its choices, and when it matters. */
function trainHelp(): string {
  const options = optionNames.flatMap((name) => {
    if (name === 'baseWeights')
      return baseSwitches.map(({ flag, chosen }) => `--${flag} true|false (${baseRemarks[chosen]})`);
    const notes = [condition(name), remarks[name] ?? ''].filter((note) => note !== '').join('; ');
    return `--${optionDeclarations[name].flag} ${example(name)}${notes === '' ? '' : ` (${notes})`}`;
  });
  const lines = ['  train --model M --data DATASET-or-MIX [--name RUN'];
  for (const part of [
    ...options,
    '--config FILE.yaml (keys of PEFT and transformers; options given beside it count)',
    '--print-config',
    '--force (start also what needs more memory than there is)]',
  ])
    if (`${lines.at(-1)} ${part}`.length <= 118) lines.push(`${lines.pop()} ${part}`);
    else lines.push(`        ${part}`);
  return lines.join('\n');
}

function example(name: OptionName): string {
  if (examples[name] !== undefined) return examples[name];
  const choices = optionChoices(name);
  if (choices.length > 0) return choices.join('|');
  if (optionDeclarations[name].kind === 'switch') return 'true|false';
  return optionDefaults[name] === null ? 'N' : optionText(name, optionDefaults[name]);
}

/** The methods, optimizers or schedules beside which an option matters, where they are few. */
function condition(name: OptionName): string {
  for (const by of ['method', 'optimizer', 'schedule', 'template'] as const) {
    const choices = optionChoices(by);
    const fitting = choices.filter((choice) =>
      matters(name, { ...optionDefaults, router: 'input', gate: 'task', [by]: choice }),
    );
    if (fitting.length > 0 && fitting.length < Math.min(choices.length, 4)) return fitting.join(', ');
  }
  return '';
}

export const help = `ID-LoRA Studio

  doctor [--fix]                                   what is there, what is missing; repairs
  budget --model PRESET-or-FOLDER [--method lora,idlora --rank R]   trainable parameters
  budget --model M --solve 4000000|50M|0.5%|8MB|'like RUN' [--solve-over rank=4..64,clusters,boost,heads,experts,targets
        --solve-percent base|paper --solve-dtype f32|bf16]   settings of each method closest within a budget
  models add FOLDER [--name N --copy] | list | show N | remove N
  models download ORGANISATION/NAME [--revision R --name N]   from the Hugging Face Hub; resumes
  adapters add FOLDER [--model M --name N] | list | show N | remove N | inspect FOLDER   PEFT adapters from elsewhere, as runs
  adapters download ORGANISATION/NAME [--revision R --model M --name N]   from the Hugging Face Hub; resumes
  projects list | export [NAME] --out FILE | import FILE [--into NAME]   a project with runs, checkpoints and scores as one file
  datasets add PATH... [--name N --format auto --split train|validation|test --config C --encoding E --strict --in-place
        and which field is what: --prompt F --answer F --input F --system F --history F | --turns F --tools F | --text F
        | --question F --choices F,... --answer F | --chosen F --rejected F | --mapping FILE.json]   files and folders:
        JSON, JSONL, CSV, TSV, Parquet, text, gz, zst, zip
  datasets search WORDS | download ORGANISATION/NAME [--config C --split S --revision R --name N]   from the Hub
  datasets statistics N                            duplicates, test items, refusals, languages
  datasets inspect PATH... | list | show N [--unused --limit N] | remove N
  datasets preview N --model M [--template NAME|FILE --system TEXT --train-on last --truncation left --context N --limit N]
  datasets map N --prompt F --answer F ... | split N --as train [--of test]   what its fields and its parts are
  datasets edit N --row N [--exclude | --include | --set FIELD=TEXT | --restore | --tags A,B] | undo N
  mix create NAME --part DATASET=30%|2x|N [--part ...] [--by share|weight|epochs|count (of bare numbers)
        --unit rows|tokens|trained-tokens --stop first|all|once|size --size N --max-epochs N (of each source)
        --temperature T (fills absent amounts) --deduplicate none|within|across --order random|stratified --seed S
        --model M --context N --batch N --packing true|false]   what a pass takes of each source
  mix import FILE --name N [--by weight|epochs|count]   mixing of LLaMA-Factory, TRL, axolotl, open-instruct, Mosaic
  mix list | show NAME [--model M --context N] | remove NAME
${trainHelp()}
  train --from RUN --data DATASET-or-MIX [--from-step N --name RUN and options of train]
        trains a run's adapter on (also an imported one), with a fresh optimizer and rows of your choice
  train --resume RUN [--force and options of train that a run may change on its way, such as --max-steps]
  study plan | start --name N --model M --data D --methods lora,idlora --budget 4000000|50M|0.5%|8MB|'like RUN' --seeds 0,1
        [--force --budget-percent base|paper --budget-dtype f32|bf16 and options of train]   methods at one budget
  study start ... --score NAME,... [--path --limit --shots --max-tokens --chat --pattern --judge as eval]   also queues the
        scores of each run by these benchmarks; they wait until the runs are trained (queue work)
  study plan | start --name N --model M --data MIX1,MIX2 --max-steps S --seeds 0,1   one configuration on several data
  study plan | start --model M --data D --paper table7 --seeds 0   a table of the paper; study papers lists them
  study list | show NAME | resume NAME [--force] | remove NAME
  studies NAME...|all [--model M --seeds 0,1,2 --max-steps N --batch N --precision f32|bf16 --limit N --out DIR
          --draw --allow-code-execution]
        tables 2, 3, 7 and 8 and figure 3 of the paper in small, and what its reviewers asked (docs/studies.md)
  samples --difference 2 [--discordance 10] [--items N] [--seed-scatter 1] [--metric loss --scatter 0.5] [--power 80 --alpha 5]
                                                   test items and seeds with which a difference is seen
  train ... --hand-over DIR                        the same for PyTorch on a cluster: nothing is trained here
  runs list | show RUN | import FOLDER [--name N --model M] | queue | remove RUN   import: what a cluster trained
  eval --model M [--adapter RUN-or-FOLDER] --benchmark NAME,... [--path FILE-or-FOLDER --limit N --shots N --max-tokens N --chat --system TEXT
    --pattern EXPRESSION --judge MODEL --judge-adapter RUN-or-FOLDER --temperature T --top-p P --samples N --allow-code-execution --seed N --task N]   benchmarks: ${benchmarkNames}
  compare RUN RUN2 ... --benchmark NAME,... [as eval; --settle: put into the queues what would settle open pairs]
    a path, limit, number of shots or of tokens for one benchmark alone: --limit gsm8k=32 --path gsm8k=FILE
  guards RUN [--text FILE --refusal FILE --benchmark NAME,... as eval] [--checkpoints]   what the training cost: base and run on a
        general text, on prompts to refuse or answer, on benchmarks; and each kept checkpoint
  eval | compare | guards | preferences judge ... --queue   puts it into the queue; runs that wait are scored when trained
  queue list | work | cancel ID... | move ID [--before ID] | retry ID   what waits to be trained and scored; work does it
  preferences export RUN-or-base RUN2 ... --benchmark NAME [--out FILE.jsonl --votes false --grades false]   pairs of
        answers as {prompt, chosen, rejected}, from blind votes and from items that one alone got right
  report RUN [RUN2 ...] [--against NAME --out FILE.html|.svg|.csv|.md --overwrite]   their stored scores as one document
  preferences judge RUN-or-base RUN2 --benchmark NAME --judge MODEL [--judge-adapter RUN-or-FOLDER --limit N]   a model
        compares stored answers, each pair in both orders
  grade humaneval --path HumanEval.jsonl.gz --samples FILE.jsonl --allow-code-execution [--k 1,5,10 --timeout 3]
        runs completions {task_id, completion} in a sandbox, against the tests of their tasks
${chatHelp()}
  generate --model M [--adapter A] --prompt TEXT [--chat --system TEXT --template NAME|FILE]   --chat: through the template
    [--max-tokens N --temperature T --top-p P --seed S --task N]
  logits --model M [--adapter A] --ids 1,2,3 --out FILE.safetensors [--task N]
  export RUN [--format peft|lora|merged|gguf-lora|gguf|cluster --out DIR --calibrate DATA --embed-pivots --rank R
    --dtype f32|f16|bf16|q8_0|q4_k_m --check-elsewhere] | export RUN --compare [--measure]
  push RUN-or-FOLDER --to OWNER/NAME [--public --overwrite]   an export to the Hub; a new repository is private
  serve [--host 127.0.0.1 --port 0 --public-address URL --tls-cert FILE --tls-key FILE --token-file FILE]
                                                   the studio in a browser (docs/remote.md)
  bench [--shape small|medium|tiny --method lora,idlora --rank 32 --context 256 --batch 4 --precision bf16|f32 --steps 6]
                                                   the engine's own speed and memory on random weights
  settings updates [allow|forbid|look]             whether newer versions of a packaged studio are looked for; looks
  settings [code-execution [allow|forbid]]         whether programs that a model wrote are run in the sandbox: shows it, agrees
        for all commands to come, for the queue and the page, or takes that back
  settings train-at-once [all|one]                 whether the queue trains on each card, or one run at a time
  demo [--model M --methods lora,idlora|all --max-steps N --limit N --allow-code-execution]
                                                   methods at one budget on the tasks of the starter lab, start to end

Options that change nothing beside the others (--heads with lora) are named and ignored. Rows with a number as "task" tell the task gate their task.
Everywhere: --home DIR (data folder), --project NAME, --json (one JSON document on stdout).
Exit codes: 0 done, 1 failed, 2 wrong usage.
`;
