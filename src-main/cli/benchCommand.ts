import { cpus, totalmem } from 'node:os';
import { methodSchema, precisionSchema, type Method } from '../contract/training.ts';
import type { BenchResult, BenchShape } from '../engine/benchProtocol.ts';
import { createEngineHost } from '../engine/process/supervisor.ts';
import { flag, list, number, parseOptions, text, usageError } from './arguments.ts';
import type { CommandContext } from './commandContext.ts';
import { createOutput, formatBytes, formatCount, formatTable } from './output.ts';

/** Decoders to measure, random weights. `small` is the shape on which the engine is compared with PyTorch and PEFT. */
const shapes: Readonly<Record<string, BenchShape>> = {
  tiny: shapeOf([64, 128, 2, 4, 2, 16, 256]),
  small: shapeOf([1024, 2816, 8, 16, 4, 64, 8192]),
  medium: shapeOf([2048, 5632, 12, 16, 4, 128, 32000]),
};

function shapeOf(sizes: readonly [number, number, number, number, number, number, number]): BenchShape {
  const [hiddenSize, intermediateSize, layers, heads, keyValueHeads, headDim, vocabularySize] = sizes;
  return { hiddenSize, intermediateSize, layers, heads, keyValueHeads, headDim, vocabularySize };
}

/** bench [--shape NAME --method lora,idlora --rank R --context T --batch B --precision P --steps N] */
export async function benchCommand(args: readonly string[], command: CommandContext): Promise<void> {
  const values = parseOptions(args, {
    shape: { type: 'string' },
    method: { type: 'string' },
    rank: { type: 'string' },
    context: { type: 'string' },
    batch: { type: 'string' },
    precision: { type: 'string' },
    steps: { type: 'string' },
    'gradient-checkpointing': { type: 'string' },
  });
  const name = text(values, 'shape') ?? 'small';
  const shape = Object.hasOwn(shapes, name) ? shapes[name] : undefined;
  if (!shape) throw usageError(`There is no shape "${name}"; there are ${Object.keys(shapes).join(', ')}.`);
  const methods = (list(values, 'method') ?? ['lora', 'idlora']).map((method): Method => {
    const parsed = methodSchema.safeParse(method);
    if (!parsed.success) throw usageError(`There is no method "${method}".`);
    return parsed.data;
  });
  const precision = precisionSchema.safeParse(text(values, 'precision') ?? 'bf16');
  if (!precision.success)
    throw usageError(`--precision "${text(values, 'precision')}" is neither f32 nor bf16.`);
  const tokens = whole('context', 256, 8);
  const settings = {
    shape,
    rank: whole('rank', 32, 1),
    batch: whole('batch', Math.max(1, Math.floor(1024 / tokens)), 1),
    tokens,
    precision: precision.data,
    gradientCheckpointing: flag(values, 'gradient-checkpointing') ?? false,
    steps: whole('steps', 6, 1),
  };
  const output = createOutput(values['json'] === true);
  const engine = createEngineHost();
  const results: ({ method: Method } & BenchResult)[] = [];
  try {
    // Each in a process of its own: the peak memory of a process never falls.
    for (const method of methods) {
      output.progress(`Timing ${method} on ${name} ...`);
      const job = engine.start({ kind: 'bench', method, ...settings }, { signal: command.signal });
      results.push({ method, ...(await job.result) });
    }
  } finally {
    engine.close();
  }
  const report = {
    name,
    ...settings,
    results,
    machine: { processor: cpus()[0]?.model ?? 'unknown', cores: cpus().length, memoryBytes: totalmem() },
  };
  output.result(report, () =>
    formatTable(
      ['method', 'trainable', 'tokens/s', 's/step (median)', 'peak memory', 'first step (s)'],
      results.map((result) => [
        result.method,
        formatCount(result.trainable),
        result.tokensPerSecond.toFixed(0),
        result.secondsPerStep.median.toFixed(3),
        formatBytes(result.peakMemoryBytes),
        result.firstStepSeconds.toFixed(1),
      ]),
    ),
  );

  function whole(option: string, fallback: number, least: number): number {
    const value = number(values, option) ?? fallback;
    if (!Number.isSafeInteger(value) || value < least)
      throw usageError(`--${option} ${value} must be a whole number of at least ${least}.`);
    return value;
  }
}
