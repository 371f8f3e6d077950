import { toPlainError } from './contract/errors.ts';
import { usageError } from './cli/arguments.ts';
import { benchCommand } from './cli/benchCommand.ts';
import { budgetCommand } from './cli/budgetCommand.ts';
import type { CommandContext } from './cli/commandContext.ts';
import { demoCommand } from './cli/demoCommand.ts';
import { doctorCommand } from './cli/doctorCommand.ts';
import { compareCommand, evalCommand } from './cli/evaluationCommands.ts';
import { datasetsCommand, modelsCommand, runsCommand } from './cli/libraryCommands.ts';
import { exportCommand, generateCommand, logitsCommand } from './cli/modelCommands.ts';
import { samplesCommand } from './cli/samplesCommand.ts';
import { serveCommand } from './cli/serveCommand.ts';
import { studyCommand } from './cli/studyCommands.ts';
import { trainCommand } from './cli/trainCommand.ts';

/** The command line: `npm run -s studio -- <command>`. */
const commands: Record<string, (args: readonly string[], context: CommandContext) => Promise<void>> = {
  doctor: doctorCommand,
  budget: budgetCommand,
  models: modelsCommand,
  datasets: datasetsCommand,
  train: trainCommand,
  study: studyCommand,
  samples: samplesCommand,
  runs: runsCommand,
  eval: evalCommand,
  compare: compareCommand,
  generate: generateCommand,
  logits: logitsCommand,
  export: exportCommand,
  serve: serveCommand,
  bench: benchCommand,
  demo: demoCommand,
};

const help = `ID-LoRA Studio

  doctor [--fix]                                   what is there, what is missing; repairs
  budget --model PRESET-or-FOLDER [--method lora,idlora --rank R]   trainable parameters
  budget --model M --solve 4000000|50M|0.5%|8MB|'like RUN' [--solve-over rank=4..64,clusters,boost,heads,experts,targets
        --solve-percent base|paper --solve-dtype f32|bf16]   settings of each method closest within a budget
  models add FOLDER [--name N --copy] | list | show N | remove N
  models download ORGANISATION/NAME [--revision R --name N]   from the Hugging Face Hub; resumes
  datasets add FILE [--name N --format auto --encoding E] | list | show N | remove N
  train --model M --data D --method idlora --rank 8 [--name RUN --lr 2e-4 --epochs 1 --max-steps N --batch 4
        --accumulate 1 --context 256 --seed 0 --precision f32|bf16 --targets all --alpha 16 --dropout 0
        --layers 0-7,12 --rslora true --rank-pattern q_proj=16,'layers\\.[0-3]\\.mlp\\..*=4' --alpha-pattern q_proj=32
        --clusters 4 --boost 2 --pivots pmrc|serial|random --router input|pivot --router-softmax true (idlora)
        --heads 3 (hydralora) --experts 4 --gate token|task --tasks 1 (moelora) --weight-decay 0 --clip-norm 1
        --beta1 0.9 --beta2 0.999 --epsilon 1e-8
        --optimizer adamw|adamw8bit|sgd --momentum 0 (sgd) --lora-plus-ratio 1 (rate of B matrices over --lr)
        --schedule constant|linear|cosine|cosine_with_min_lr|polynomial|inverse_sqrt|warmup_stable_decay --warmup 0
        --min-learning-rate-ratio R --decay-steps N (warmup_stable_decay) --polynomial-power 1
        --held-out 0.02 --held-out-rows 64 --eval-every N --checkpoint-every 50
        --early-stopping-patience N (evaluations) --keep-best true (end with the lowest held-out loss)
        --packing true (short rows share the rows of the batch) --load-in-8bit true (the frozen base takes a byte a weight)
        --samples PROMPT or '{"prompts":[...],"every":0,"maxTokens":64}' (answered during training)
        --config FILE.yaml (keys of PEFT and transformers; options given beside it count) --print-config]
        --force (start also what needs more memory than there is)
  train --resume RUN
  study plan | start --name N --model M --data D --methods lora,idlora --budget 4000000|50M|0.5%|8MB|'like RUN' --seeds 0,1
        [--force --budget-percent base|paper --budget-dtype f32|bf16 and options of train]   methods at one budget
  study plan | start --model M --data D --paper table7 --seeds 0   a table of the paper; study papers lists them
  study list | show NAME | resume NAME | remove NAME
  samples --difference 2 [--discordance 10] [--items N] [--seed-scatter 1] [--metric loss --scatter 0.5] [--power 80 --alpha 5]
                                                   test items and seeds with which a difference is seen
  runs list | show RUN | queue | remove RUN
  eval --model M [--adapter RUN-or-FOLDER] --benchmark perplexity,gsm8k [--path FILE --limit N --shots N --task N]
  compare RUN RUN2 ... --benchmark perplexity,gsm8k [--path FILE --limit N]
  generate --model M [--adapter A] --prompt TEXT [--max-tokens N --temperature T --top-p P --seed S --task N]
  logits --model M [--adapter A] --ids 1,2,3 --out FILE.safetensors [--task N]
  export RUN [--format peft|merged] --out DIR
  serve [--host 127.0.0.1 --port 0]                the studio in a browser
  bench [--shape small|medium|tiny --method lora,idlora --rank 32 --context 256 --batch 4 --precision bf16|f32 --steps 6]
                                                   the engine's own speed and memory on random weights
  demo                                             LoRA against ID-LoRA, start to end

Options that change nothing beside the others (--heads with lora) are named and ignored. Rows with a number as "task" tell the task gate their task.
Everywhere: --home DIR (data folder), --project NAME, --json (one JSON document on stdout).
Exit codes: 0 done, 1 failed, 2 wrong usage.
`;

async function main(args: readonly string[]): Promise<void> {
  const [name, ...rest] = args;
  if (name === undefined || name === 'help' || rest.includes('--help')) {
    process.stdout.write(help);
    return;
  }
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (!command)
    throw usageError(`There is no command "${name}"; there are ${Object.keys(commands).join(', ')}.`);
  await command(rest, interruptible());
}

/** First Ctrl+C: the command's listener, if it has one; second: everything ends. */
function interruptible(): CommandContext {
  const controller = new AbortController();
  let listener: (() => void) | null = null;
  const interrupt = () => {
    const first = listener;
    listener = null;
    if (first) first();
    else {
      controller.abort();
      setTimeout(() => process.exit(130), 500).unref();
    }
  };
  process.on('SIGINT', interrupt);
  process.on('SIGTERM', interrupt);
  return {
    signal: controller.signal,
    onInterrupt: (given) => {
      listener = given;
    },
  };
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  const plain = toPlainError(error);
  if (process.argv.includes('--json')) process.stdout.write(`${JSON.stringify({ error: plain })}\n`);
  else process.stderr.write(`Error: ${plain.message}\n${plain.remedy}\n`);
  if (plain.code === 'internal' && error instanceof Error) process.stderr.write(`${error.stack ?? ''}\n`);
  process.exitCode = plain.code === 'usage' ? 2 : 1;
}
// Idle handles (an engine that still winds down) must not keep a finished command alive.
process.exit();
