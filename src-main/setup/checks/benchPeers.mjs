// `npm run bench:peers`: training steps of this engine and of PyTorch + PEFT on the same shape, in turn, on this
// machine. Options: --rounds 3 --steps 6 --context 256 --shape small. The last line is one JSON document.
import { availableParallelism, cpus } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { runProgram } from '../command.mjs';
import { ensureOrExit } from '../ensure.mjs';
import { studioEnvironment } from '../launch.mjs';
import { ensureParityPython } from './parityPython.mjs';
import { projectFolder } from '../paths.mjs';
import { say, SetupError } from '../report.mjs';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    steps: { type: 'string', default: '6' },
    context: { type: 'string', default: '256' },
    shape: { type: 'string', default: 'small' },
    rank: { type: 'string', default: '32' },
  },
});

/** What runs in each round, in this order. Ratios are against the peer of the same precision, pair by pair. */
const contenders = [
  { name: 'PyTorch + PEFT LoRA, bf16 autocast', peer: 'bf16' },
  { name: 'studio LoRA, bf16', method: 'lora', precision: 'bf16', against: 0 },
  { name: 'studio ID-LoRA, bf16', method: 'idlora', precision: 'bf16', against: 0 },
  { name: 'PyTorch + PEFT LoRA, bf16 default', peer: 'bf16-default' },
  { name: 'PyTorch + PEFT LoRA, f32', peer: 'f32' },
  { name: 'studio LoRA, f32', method: 'lora', precision: 'f32', against: 4 },
  { name: 'studio ID-LoRA, f32', method: 'idlora', precision: 'f32', against: 4 },
];

/** Runs a program that prints one JSON document last. */
async function measured(program, args, env) {
  const { code, output } = await runProgram(program, args, { env });
  const line = output.split('\n').findLast((text) => text.startsWith('{'));
  if (code !== 0 || !line)
    throw new SetupError(`${program} failed:\n${output.slice(-2000)}`, 'See the lines above.');
  return JSON.parse(line);
}

function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}

async function main() {
  const node = await ensureOrExit();
  const python = await ensureParityPython();
  const env = { ...studioEnvironment(node), TF_CPP_MIN_LOG_LEVEL: '3' };
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
  const results = contenders.map(() => []);
  const rounds = Number(values.rounds);
  let shape;
  for (let round = 1; round <= rounds; round++)
    for (const [i, { name, peer, method, precision }] of contenders.entries()) {
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
          steps: Number(values.steps),
        };
        const script = join(projectFolder, 'tests', 'peers', 'torch_peft.py');
        results[i].push(await measured(python, [script, JSON.stringify(request)], process.env));
      } else results[i].push((await bench(method, precision)).results[0]);
    }

  const report = contenders.map(({ name, against }, i) => {
    const of = (key) => results[i].map((result) => result[key]);
    const ratio = (key) =>
      against === undefined
        ? null
        : median(results[i].map((result, round) => result[key] / results[against][round][key]));
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
  console.log(JSON.stringify({ shape: values.shape, context: Number(values.context), rounds, report }));
}

try {
  await main();
} catch (error) {
  say(error.message);
  say(error instanceof SetupError ? error.remedy : (error.stack ?? ''));
  process.exitCode = 1;
}
