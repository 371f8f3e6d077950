// `npm run bench:peers`: training steps of this engine and of PyTorch + PEFT on the same shape, in turn, on this
// machine. Options: --rounds 3 --steps 6 --context 256 --shape small; --methods all takes the other methods, too.
// `--what inference` times answers against transformers' generate, batch 1 and 16 (--tokens 192 each), and choices
// scored together against each alone instead; `--what epoch` one epoch over 242 rows of GSM8K; `--what growth` steps of
// the studio alone, with one size changed at a time, and draws docs/images/growth.svg. The last line is one JSON text.
// Where PyTorch's products are slower in bf16 than in f32, the studio's bf16 is set against PyTorch's f32.
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { runProgram } from '../command.mjs';
import { ensureOrExit } from '../ensure.mjs';
import { launch, studioEnvironment } from '../launch.mjs';
import { ensureParityPython } from './parityPython.mjs';
import { projectFolder } from '../paths.mjs';
import { say, SetupError } from '../report.mjs';
import { answerHelp } from '../usage.mjs';

answerHelp(`
npm run bench:peers -- [options]   this engine and PyTorch + PEFT on one shape, in turn (docs/performance.md)
  --what training                  steps; inference: answers; epoch: one over 242 rows; growth: one size at a time
  --methods lora,idlora            all takes the other methods, too
  --rounds 3 --steps 6 --context 256 --shape small --rank 32 --tokens 192
`);

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    steps: { type: 'string', default: '6' },
    context: { type: 'string', default: '256' },
    shape: { type: 'string', default: 'small' },
    rank: { type: 'string', default: '32' },
    what: { type: 'string', default: 'training' },
    methods: { type: 'string', default: 'lora,idlora' },
    tokens: { type: 'string', default: '192' },
  },
});

/**
 * What runs in each round, in this order. Ratios are pair by pair, against the peer of the same precision, or against
 * PyTorch's f32 where that is its faster one.
 * @param {boolean} withOthers with the other methods behind; PEFT has no HydraLoRA and no MoELoRA: these are set
 * against its LoRA
 * @param {'bf16' | 'f32'} better PyTorch's faster precision
 */
function contendersOf(withOthers, better) {
  const peer = {
    bf16: 'PyTorch + PEFT LoRA, bf16 autocast',
    f32: 'PyTorch + PEFT LoRA, f32',
    dora: `PyTorch + PEFT DoRA, ${better === 'bf16' ? 'bf16 autocast' : 'f32'}`,
  };
  const isBf16 = better === 'bf16';
  return [
    ...(isBf16 ? [{ name: peer.bf16, peer: 'bf16' }] : []),
    { name: 'studio LoRA, bf16', method: 'lora', precision: 'bf16', against: peer[better] },
    { name: 'studio ID-LoRA, bf16', method: 'idlora', precision: 'bf16', against: peer[better] },
    ...(isBf16 ? [{ name: 'PyTorch + PEFT LoRA, bf16 default', peer: 'bf16-default' }] : []),
    { name: peer.f32, peer: 'f32' },
    { name: 'studio LoRA, f32', method: 'lora', precision: 'f32', against: peer.f32 },
    { name: 'studio ID-LoRA, f32', method: 'idlora', precision: 'f32', against: peer.f32 },
    ...(withOthers
      ? [
          { name: peer.dora, peer: better, dora: true },
          { name: 'studio DoRA, bf16', method: 'dora', precision: 'bf16', against: peer.dora },
          { name: 'studio HydraLoRA, bf16', method: 'hydralora', precision: 'bf16', against: peer[better] },
          { name: 'studio MoELoRA, bf16', method: 'moelora', precision: 'bf16', against: peer[better] },
        ]
      : []),
  ];
}

/** The shape `small` of `bench`. */
const smallShape = {
  hiddenSize: 1024,
  intermediateSize: 2816,
  layers: 8,
  heads: 16,
  keyValueHeads: 4,
  headDim: 64,
  vocabularySize: 8192,
};
/** Tokens of a prompt. */
const promptTokens = 64;

/** 88 million parameters with a vocabulary as real models have it. */
const epochShape = {
  hiddenSize: 768,
  intermediateSize: 2048,
  layers: 6,
  heads: 12,
  keyValueHeads: 4,
  headDim: 64,
  vocabularySize: 32768,
};
const epoch = { count: 242, batch: 8, context: 1024 };
/** What runs in each round, in this order. */
const epochContenders = [
  { name: 'PyTorch + PEFT LoRA, padded to the longest of a batch', groups: false },
  { name: 'PyTorch + PEFT LoRA, rows of like lengths in a batch', groups: true },
  { name: 'studio LoRA', method: 'lora', packing: false },
  { name: 'studio LoRA, packed', method: 'lora', packing: true },
  { name: 'studio ID-LoRA', method: 'idlora', packing: false },
];

/** Runs a program that prints one JSON document last. */
async function measured(program, args, env) {
  const { code, output } = await runProgram(program, args, { env });
  const line = output.split('\n').findLast((text) => text.startsWith('{'));
  if (code !== 0 || !line)
    throw new SetupError(`${program} failed:\n${output.slice(-2000)}`, 'See the lines above.');
  return JSON.parse(line);
}

/** PyTorch's faster precision on this processor. */
async function betterPrecision(python) {
  const script = join(projectFolder, 'tests', 'peers', 'torch_products.py');
  const { bf16, f32 } = await measured(python, [script], process.env);
  const better = bf16 >= f32 ? 'bf16' : 'f32';
  const rates = `PyTorch multiplies ${bf16.toFixed(1)} GFLOP/s in bf16, ${f32.toFixed(1)} in f32`;
  say(better === 'bf16' ? rates : `${rates}: it is timed in f32 alone, and bf16 is set against that`);
  return better;
}

function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}

/** Random bf16 weights in a folder that both sides read. */
async function writeModel(node, env, folder, shape) {
  say('writing random weights');
  const asked = JSON.stringify({ what: 'model', folder, shape: { ...shape, tieEmbeddings: false } });
  const script = join(projectFolder, 'tests', 'peers', 'studioInference.ts');
  const { code, output } = await runProgram(node, [script, asked], { env });
  if (code !== 0) throw new SetupError(`The model could not be written:\n${output}`, 'See the lines above.');
}

/** One epoch over the same rows, by both in turn, on one folder of random weights. */
async function epochs(node, python, env, better) {
  const folder = mkdtempSync(join(tmpdir(), 'id-lora-peers-'));
  const file = join(folder, 'rows.json');
  const rank = Number(values.rank);
  const common = { folder, file, batch: epoch.batch };
  const ownScript = join(projectFolder, 'tests', 'peers', 'studioEpoch.ts');
  const own = (request) => [node, [ownScript, JSON.stringify(request)], env];
  const theirs = (request) => [
    python,
    [join(projectFolder, 'tests', 'peers', 'torch_epoch.py'), JSON.stringify(request)],
    process.env,
  ];
  try {
    await writeModel(node, env, folder, epochShape);
    const [program, args] = own({ what: 'rows', file, ...epoch, vocabulary: epochShape.vocabularySize });
    const { code, output } = await runProgram(program, args, { env });
    if (code !== 0) throw new SetupError(`The rows could not be written:\n${output}`, 'See the lines above.');
    const results = epochContenders.map(() => []);
    const rounds = Number(values.rounds);
    for (let round = 1; round <= rounds; round++)
      for (const [i, { name, groups, method, packing }] of epochContenders.entries()) {
        say(`round ${round} of ${rounds}: ${name}`);
        const adapter = { method, rank, alpha: 2 * rank };
        const request = {
          what: 'train',
          ...common,
          adapter,
          packing,
          precision: 'bf16',
          context: epoch.context,
        };
        results[i].push(
          await measured(...(method ? own(request) : theirs({ ...common, rank, groups, precision: better }))),
        );
      }
    const report = epochContenders.map(({ name, method }, i) => {
      const of = (key) => median(results[i].map((result) => result[key]));
      const ratio = (peer, key) =>
        median(results[i].map((result, round) => results[peer][round][key] / result[key]));
      return {
        name,
        epochSeconds: of('epochSeconds'),
        firstStepSeconds: of('firstStepSeconds'),
        loadSeconds: of('loadSeconds'),
        peakMemoryBytes: of('peakMemoryBytes'),
        ...(method && {
          speedRatios: [ratio(0, 'epochSeconds'), ratio(1, 'epochSeconds')],
          memoryRatio: 1 / ratio(0, 'peakMemoryBytes'),
        }),
      };
    });
    console.log(
      `${cpus()[0]?.model ?? 'unknown processor'}, ${availableParallelism()} cores; ${rounds} rounds, medians`,
    );
    for (const line of report)
      console.log(
        `${line.name.padEnd(54)} ${line.epochSeconds.toFixed(1).padStart(6)} s an epoch, first step ${line.firstStepSeconds.toFixed(1)} s, ` +
          `load ${line.loadSeconds.toFixed(1)} s, ${(line.peakMemoryBytes / 1e9).toFixed(2)} GB` +
          (line.speedRatios
            ? `: speed x ${line.speedRatios.map((ratio) => ratio.toFixed(2)).join(' and ')}, memory x ${line.memoryRatio.toFixed(2)}`
            : ''),
      );
    console.log(JSON.stringify({ shape: epochShape, ...epoch, rank, peer: better, rounds, report }));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Prompts and answers of so many tokens, by both in turn, on one folder of random weights. */
async function inference(node, python, env, better) {
  const folder = mkdtempSync(join(tmpdir(), 'id-lora-peers-'));
  const peers = join(projectFolder, 'tests', 'peers');
  const tokens = Number(values.tokens);
  const own = (request) =>
    measured(
      node,
      [join(peers, 'studioInference.ts'), JSON.stringify({ folder, promptTokens, ...request })],
      env,
    );
  const theirs = (request) =>
    measured(
      python,
      [join(peers, 'transformers_generate.py'), JSON.stringify({ folder, promptTokens, ...request })],
      process.env,
    );
  try {
    await writeModel(node, env, folder, smallShape);
    const rounds = Number(values.rounds);
    const report = [];
    for (const precision of ['bf16', 'f32'])
      for (const batch of [1, 16]) {
        const pairs = [];
        for (let round = 1; round <= rounds; round++) {
          say(`${precision}, batch ${batch}, round ${round} of ${rounds}`);
          const request = { batch, precision, newTokens: tokens, rounds: 3 };
          const peer = await theirs({ ...request, precision: precision === 'f32' ? 'f32' : better });
          pairs.push([(await own({ what: 'generate', ...request })).tokensPerSecond, peer.tokensPerSecond]);
        }
        report.push({
          precision,
          batch,
          tokensPerSecond: median(pairs.map(([ours]) => ours)),
          peerTokensPerSecond: median(pairs.map(([, peer]) => peer)),
          speedRatio: median(pairs.map(([ours, peer]) => ours / peer)),
        });
      }
    say('choices: 64 items of 4 answers');
    const items = { batch: 16, precision: 'f32', items: 64, choices: 4, choiceTokens: 1 };
    const choices = await own({ what: 'choices', ...items });
    console.log(
      `${cpus()[0]?.model ?? 'unknown processor'}, ${availableParallelism()} cores; ${rounds} rounds, medians`,
    );
    for (const line of report)
      console.log(
        `${line.precision.padEnd(5)} batch ${String(line.batch).padStart(2)}  ${line.tokensPerSecond.toFixed(1).padStart(7)} tokens/s, ` +
          `transformers ${line.peerTokensPerSecond.toFixed(1).padStart(7)} in ${line.precision === 'f32' ? 'f32' : better}: speed x ${line.speedRatio.toFixed(2)}`,
      );
    console.log(
      `choices: ${choices.answersPerSecond.toFixed(1)} answers/s together, ${choices.answersPerSecondAlone.toFixed(1)} each alone: ` +
        `x ${(choices.answersPerSecond / choices.answersPerSecondAlone).toFixed(2)}; greatest difference ${choices.greatestDifference.toExponential(1)}`,
    );
    console.log(JSON.stringify({ shape: 'small', tokens, peer: better, rounds, report, choices }));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Steps of the studio with one size changed at a time. */
async function growth(node) {
  const picture = join(projectFolder, 'docs', 'images', 'growth.svg');
  const asked = JSON.stringify({ picture, steps: Number(values.steps), shape: smallShape });
  const env = { ...studioEnvironment(node), TF_CPP_MIN_LOG_LEVEL: '3' };
  process.exitCode = await launch(
    node,
    [join(projectFolder, 'tests', 'peers', 'studioGrowth.ts'), asked],
    env,
  );
}

async function main() {
  if (!['training', 'inference', 'epoch', 'growth'].includes(values.what))
    throw new SetupError(
      `--what ${values.what} is not known.`,
      'Choose training, inference, epoch or growth.',
    );
  if (!['all', 'lora,idlora'].includes(values.methods))
    throw new SetupError(`--methods ${values.methods} is not known.`, 'Choose all, or lora,idlora.');
  const node = await ensureOrExit();
  if (values.what === 'growth') return growth(node);
  const python = await ensureParityPython();
  const env = { ...studioEnvironment(node), TF_CPP_MIN_LOG_LEVEL: '3' };
  const better = await betterPrecision(python);
  if (values.what === 'inference') return inference(node, python, env, better);
  if (values.what === 'epoch') return epochs(node, python, env, better);
  const bench = (method, precision) =>
    measured(
      node,
      [
        join(projectFolder, 'src-main', 'cli.ts'),
        ...['bench', '--json', '--shape', values.shape, '--method', method, '--precision', precision],
        ...['--context', values.context, '--steps', values.steps, '--rank', values.rank],
      ],
      env,
    );
  const wanted = contendersOf(values.methods === 'all', better);
  const results = wanted.map(() => []);
  const rounds = Number(values.rounds);
  let shape;
  for (let round = 1; round <= rounds; round++)
    for (const [i, { name, peer, dora = false, method, precision }] of wanted.entries()) {
      say(`round ${round} of ${rounds}: ${name}`);
      if (peer) {
        // The peer takes its sizes from what our own benchmark says of the shape.
        shape ??= await bench('lora', 'bf16');
        const { rank, batch, tokens } = shape;
        const request = {
          shape: shape.shape,
          rank,
          batch,
          tokens,
          precision: peer,
          dora,
          steps: Number(values.steps),
        };
        const script = join(projectFolder, 'tests', 'peers', 'torch_peft.py');
        results[i].push(await measured(python, [script, JSON.stringify(request)], process.env));
      } else results[i].push((await bench(method, precision)).results[0]);
    }

  const report = wanted.map(({ name, against }, i) => {
    const of = (key) => results[i].map((result) => result[key]);
    const peers = against && results[wanted.findIndex((one) => one.name === against)];
    const ratio = (key) =>
      peers ? median(results[i].map((result, round) => result[key] / peers[round][key])) : null;
    return {
      name,
      secondsPerStep: median(results[i].map(({ secondsPerStep }) => secondsPerStep.median)),
      tokensPerSecond: median(of('tokensPerSecond')),
      peakMemoryBytes: median(of('peakMemoryBytes')),
      speedRatio: ratio('tokensPerSecond'),
      memoryRatio: ratio('peakMemoryBytes'),
    };
  });
  console.log(
    `${cpus()[0]?.model ?? 'unknown processor'}, ${availableParallelism()} cores; ${rounds} rounds, medians`,
  );
  for (const line of report)
    console.log(
      `${line.name.padEnd(36)} ${line.tokensPerSecond.toFixed(0).padStart(6)} tokens/s  ${line.secondsPerStep.toFixed(3)} s/step  ` +
        `${(line.peakMemoryBytes / 1e9).toFixed(2)} GB` +
        (line.speedRatio === null
          ? ''
          : `  speed x ${line.speedRatio.toFixed(2)}, memory x ${line.memoryRatio.toFixed(2)} of the peer`),
    );
  console.log(
    JSON.stringify({ shape: values.shape, context: Number(values.context), peer: better, rounds, report }),
  );
}

try {
  await main();
} catch (error) {
  say(error.message);
  say(error instanceof SetupError ? error.remedy : (error.stack ?? ''));
  process.exitCode = 1;
}
