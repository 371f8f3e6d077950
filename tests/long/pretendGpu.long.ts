import { execFile, execFileSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';
import { methods, trainConfigSchema, type TrainConfigInput } from '../../src-main/contract/training.ts';
import { createEngineHost } from '../../src-main/engine/process/supervisor.ts';
import { writeTokenFile } from '../../src-main/formats/files/tokenFile.ts';
import { runtimeFolder, versions } from '../../src-main/setup/paths.mjs';
import type { CheckReport } from '../card/checkGpu.ts';
import { writeRandomModel } from '../support/measuredTraining.ts';
import { projectFolder, tinyLlama } from '../support/paths.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

/*
 * The engine on a pretend CUDA driver: TensorFlow's real placer, executor and allocator, XLA with the real ptxas, and
 * device memory that the host may not touch. Kernels do nothing, so numbers mean nothing; but what has no kernel on a
 * GPU, what reads memory of the other side, and a set-up that finds no card fails here as it would on one.
 *
 * Needs ../shared/tools/gpu and g++. The first time it fetches TensorFlow for the GPU (3 GB), into a runtime of its
 * own.
 */
const tools = join(projectFolder, '..', 'shared', 'tools', 'gpu');
const isThere = process.platform === 'linux' && existsSync(join(tools, 'build-pretend'));
const runtime = process.env['ID_LORA_PRETEND_RUNTIME'] ?? join(runtimeFolder, 'pretend-gpu');

/** A checkout of the same sources, whose TensorFlow can be another. */
const checkout = join(temporaryFolder(), 'checkout');
const pretend = join(temporaryFolder(), 'pretend');
/** What the driver saw of each process, called by its number. */
const logs = temporaryFolder();
/** What XLA makes of a function that an earlier process of this check had as well. */
const compiled = temporaryFolder();
const models = { narrow: join(temporaryFolder(), 'narrow'), wide: join(temporaryFolder(), 'wide') };
const sizes = { layers: 2, headDim: 32, vocabularySize: 256, intermediateSize: 256, tieEmbeddings: false };
const trainFile = join(temporaryFolder(), 'train.tokens');

const programs = temporaryFolder();
/** What nvidia-smi says of the pretend card, by the fields that it is asked for. */
const card = `#!/bin/sh
for arg in "$@"; do case $arg in --query-gpu=*) fields=\${arg#--query-gpu=} ;; esac; done
said=
for field in $(echo "$fields" | tr , ' '); do
  case $field in
    index) value=0 ;; uuid) value=GPU-0 ;; name) value='NVIDIA GeForce RTX 4090' ;; compute_cap) value=8.9 ;;
    driver_version) value=570.124.06 ;; memory.total) value=24564 ;; memory.used) value=450 ;; *) value='[N/A]' ;;
  esac
  said="$said\${said:+, }$value"
done
echo "$said"
`;

/** The environment of a machine that has the card, and TensorFlow for it. */
const onPretendMachine = (): NodeJS.ProcessEnv => ({
  ...process.env,
  PATH: `${programs}${delimiter}${process.env['PATH']}`,
  ID_LORA_STUDIO_RUNTIME: runtime,
});

/** The driver ends a process that accesses memory wrongly. */
const pretendDriver = () => ({
  LD_LIBRARY_PATH: join(pretend, 'lib'),
  FAKE_GPU_STRICT: '1',
  FAKE_GPU_TRUE: '1',
  FAKE_GPU_LIMIT_MB: '3000',
  FAKE_GPU_LOG: join(logs, '%p.log'),
  TF_XLA_FLAGS: `--tf_xla_persistent_cache_directory='${compiled}' --tf_xla_persistent_cache_device_types=GPU`,
});

function linkPackages(from: string, to: string): void {
  mkdirSync(to, { recursive: true });
  for (const name of readdirSync(from))
    if (name === '@tensorflow') linkPackages(join(from, name), join(to, name));
    else if (name === 'tfjs-node-gpu') cpSync(join(from, name), join(to, name), { recursive: true });
    else symlinkSync(join(from, name), join(to, name));
}

beforeAll(() => {
  if (!isThere) return;
  cpSync(join(projectFolder, 'src-main'), join(checkout, 'src-main'), { recursive: true });
  cpSync(join(projectFolder, 'package.json'), join(checkout, 'package.json'));
  for (const folder of ['card', 'support', 'fixtures/tiny-llama'])
    cpSync(join(projectFolder, 'tests', folder), join(checkout, 'tests', folder), { recursive: true });
  linkPackages(join(projectFolder, 'node_modules'), join(checkout, 'node_modules'));
  writeFileSync(join(programs, 'nvidia-smi'), card, { mode: 0o755 });
  execFileSync(process.execPath, [join(checkout, 'src-main/setup/tensorflow/repair.mjs')], {
    env: onPretendMachine(),
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  execFileSync('bash', [
    join(tools, 'build-pretend'),
    join(runtime, `tensorflow-gpu-${versions.tensorflow}`),
    pretend,
  ]);
  const width = { hiddenSize: 128, heads: 4, keyValueHeads: 2 };
  writeRandomModel(models.narrow, { ...sizes, ...width } as never, 512);
  // Whoever generates tells text.
  cpSync(join(tinyLlama, 'tokenizer.json'), join(models.narrow, 'tokenizer.json'));
  // Its linear weights are of another size than all that is saved.
  writeRandomModel(models.wide, { ...sizes, ...width, hiddenSize: 512 } as never, 512);
  const row = { ids: new Int32Array(160).fill(5), trained: new Uint8Array(160).fill(1), task: 0 };
  writeTokenFile(trainFile, [row, row, { ...row, task: 1 }]);
}, 3_600_000);

/** An engine that takes the pretend card for a real one, as the studio opens it; a wrong access ends it. */
function openEngine(env: NodeJS.ProcessEnv = {}) {
  return createEngineHost({
    entry: join(checkout, 'src-main/engine/process/child.ts'),
    env: { ...pretendDriver(), ...env },
    cards: () => [
      {
        id: '0',
        name: 'NVIDIA GeForce RTX 4090',
        capability: '8.9',
        cudaFolder: join(runtime, `tensorflow-gpu-${versions.tensorflow}`, 'nvidia', 'cuda_nvcc'),
        memoryBytes: 24564 * 2 ** 20,
      },
    ],
  });
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** What the driver saw since this was asked last: a process writes the end of it as it ends. */
async function driverLog(): Promise<string> {
  const files = readdirSync(logs);
  await expect
    .poll(() => files.filter((name) => isRunning(Number(name.split('.')[0]))), { timeout: 60_000 })
    .toEqual([]);
  const text = files.map((name) => readFileSync(join(logs, name), 'utf8')).join('\n');
  for (const name of files) rmSync(join(logs, name));
  expect(text).toContain(' INIT');
  return text;
}

/** What must not be: copies that the driver refused or that went the wrong way, memory of the card read by the host. */
const faultsIn = (text: string) => text.split('\n').filter((line) => /WRONG|HOSTACCESS/.test(line));

/**
 * Copies from the card of the size of a linear weight in 8 bits of the wide model, which nothing that is saved has: of
 * five of the seven modules of a layer. The binding takes each back once as it is loaded.
 */
const weightsTaken = (text: string) => text.match(/COPY DtoH (65536|131072)$/gm) ?? [];

async function train(
  folder: string,
  input: TrainConfigInput,
  { env = {}, resumeFrom = null }: { env?: NodeJS.ProcessEnv; resumeFrom?: string | null } = {},
) {
  const out = temporaryFolder();
  const config = trainConfigSchema.parse({ maxSteps: 2, context: 160, batch: 2, ...input });
  const { result } = openEngine(env).start({
    kind: 'train',
    modelFolder: folder,
    trainFile,
    heldOutFile: trainFile,
    config,
    checkpointFolder: join(out, 'checkpoints'),
    cacheFolder: join(out, 'cache'),
    resumeFrom,
  });
  return result;
}

/**
 * Of a step of 32 layers, rank 16, bf16, one row of 2,048 tokens: kernels with launched graphs, products, copies
 * between card and host. What the processor must compute in the middle of a step would show as copies.
 */
const recordedLaunches = {
  lora: { launches: 2660, products: 2145, copies: 20 },
  idlora: { launches: 3550, products: 2145, copies: 20 },
};

/** What a step takes of the driver: what two steps more take, halved. */
async function launchesOf(method: keyof typeof recordedLaunches, layers: number) {
  const shape = { ...sizes, hiddenSize: 256, heads: 8, keyValueHeads: 2, layers };
  const request = {
    kind: 'bench',
    shape,
    method,
    rank: 16,
    batch: 1,
    tokens: 2048,
    precision: 'bf16',
    gradientCheckpointing: false,
  } as const;
  const counted = async (steps: number) => {
    // All of them compile: what is read back as compiled takes launches and copies of its own.
    await openEngine({ TF_XLA_FLAGS: '' }).start({ ...request, steps }).result;
    const text = await driverLog();
    expect(faultsIn(text)).toEqual([]);
    const count = (pattern: RegExp) => (text.match(pattern) ?? []).length;
    return {
      launches: count(/ (LAUNCH|GRAPHLAUNCH)\b/g),
      products: count(/ GEM[MV] /g),
      copies: count(/ COPY (DtoH|HtoD) /g),
    };
  };
  const [few, more] = [await counted(1), await counted(3)];
  const perStep = Object.entries(more).map(([name, n]) => [name, (n - few[name as keyof typeof few]) / 2]);
  return Object.fromEntries(perStep) as Record<string, number>;
}

describe.skipIf(!isThere)(`a pretend card${isThere ? '' : ' (skipped: needs ../shared/tools/gpu)'}`, () => {
  it('is found by what set-up installed', async () => {
    const { devices } = await openEngine().start({ kind: 'probe' }).result;
    expect(devices).toEqual(['gpu']);
    // With TensorFlow's own libraries, and of the pretend ones only the driver's.
    const driver = join(temporaryFolder(), 'driver');
    mkdirSync(driver);
    for (const name of ['libcuda.so.1', 'libnvidia-ml.so.1'])
      symlinkSync(join(pretend, 'libfakegpu.so'), join(driver, name));
    const lines: string[] = [];
    await openEngine({ LD_LIBRARY_PATH: driver })
      .start({ kind: 'probe', verbose: true }, { onLog: (line) => lines.push(line) })
      // NVIDIA's own runtime knows the driver for a false one and ends the process, after all has been opened.
      .result.catch(() => undefined);
    expect(lines.filter((line) => line.includes('Cannot dlopen'))).toEqual([]);
  });

  describe.each(methods)('%s trains', (method) => {
    // What PMRC would choose from are no numbers where kernels do nothing; check:gpu asks for it.
    const pivots = 'serial' as const;
    const adapter = { method, rank: 8, alpha: 16, clusters: 2, dropout: method === 'full' ? 0 : 0.1, pivots };
    it.each([
      { precision: 'bf16' },
      { precision: 'f32', loadIn8bit: method !== 'full' },
      { precision: 'bf16', loadIn4bit: method !== 'full' },
      { precision: 'bf16', optimizer: 'adamw8bit', gradientCheckpointing: true, packing: true },
      { precision: 'f32', optimizer: 'sgd', momentum: 0.9, accumulate: 2 },
    ] as const)('with %j', async (rest) => {
      const { outcome, checkpoint } = await train(models.wide, { adapter, ...rest });
      expect(outcome).toBe('done');
      expect(existsSync(checkpoint!)).toBe(true);
      const text = await driverLog();
      expect(faultsIn(text)).toEqual([]);
      // The one method that takes rows of weights.
      if (method === 'idlora' && 'loadIn8bit' in rest)
        expect(weightsTaken(text).length).toBeLessThanOrEqual(5 * sizes.layers);
    });
  });

  // Not ID-LoRA: kernels that do nothing leave no pivots that could be read again.
  it.each(methods.filter((method) => method !== 'idlora'))('%s goes on from a checkpoint', async (method) => {
    const adapter = { method, rank: 8, alpha: 16, clusters: 2 };
    const begun = await train(models.narrow, { adapter, maxSteps: 1, optimizer: 'adamw8bit' });
    const more = { adapter, maxSteps: 3, optimizer: 'adamw8bit' } as const;
    const { outcome, step } = await train(models.narrow, more, { resumeFrom: begun.checkpoint });
    expect([outcome, step]).toEqual(['done', 3]);
    expect(faultsIn(await driverLog())).toEqual([]);
  });

  it.each(['lora', 'idlora'] as const)(
    'a step of %s over 2,048 tokens launches no more than was recorded',
    async (method) => {
      const [two, four] = [await launchesOf(method, 2), await launchesOf(method, 4)];
      const of32Layers = Object.fromEntries(
        Object.entries(four).map(([name, count]) => [name, count + 14 * (count - two[name]!)]),
      );
      console.log(`${method}: a step of 32 layers takes ${JSON.stringify(of32Layers)}`);
      for (const [name, most] of Object.entries(recordedLaunches[method]))
        expect(of32Layers[name], name).toBeLessThanOrEqual(most);
    },
  );

  it('scores, writes logits and decodes with the adapter on a base in 8 bits', async () => {
    // Not of ID-LoRA: kernels that do nothing leave no pivots that could be read again.
    const adapter = { method: 'lora', rank: 8, alpha: 16 } as const;
    const { checkpoint } = await train(models.narrow, { adapter, precision: 'bf16' });
    const model = {
      folder: models.narrow,
      precision: 'bf16' as const,
      adapterFolder: join(checkpoint!, 'adapter'),
      quantization: 'int8' as const,
    };
    const ids = Array.from({ length: 90 }, () => 5);
    await openEngine().start({ kind: 'score', model, tokenFile: trainFile, batch: 2 }).result;
    expect(faultsIn(await driverLog())).toEqual([]);
    const outFile = join(temporaryFolder(), 'logits.safetensors');
    await openEngine().start({ kind: 'logits', model, ids, outFile }).result;
    expect(faultsIn(await driverLog())).toEqual([]);
    // Enough for calls of several tokens.
    const asked = { maxTokens: 20, seed: 1, stop: [], endIds: [255], batch: 2 };
    // The most likely token, one drawn among all, one drawn from a nucleus.
    for (const drawn of [
      { temperature: 0, topP: 1 },
      { temperature: 0.8, topP: 1 },
      { temperature: 0.8, topP: 0.9 },
    ]) {
      const job = { kind: 'generate', model, prompts: [ids, ids], ...asked, ...drawn } as const;
      const { rows } = await openEngine().start(job).result;
      expect(rows).toHaveLength(2);
      expect(faultsIn(await driverLog()), JSON.stringify(drawn)).toEqual([]);
    }
  });

  it.each([
    ['another program holds it', '4', 2],
    ['a step needs more', '150', 256],
  ])('says when its memory is full: %s', async (_, megabytes, batch) => {
    const adapter = { method: 'full', rank: 1, alpha: 1 } as const;
    await expect(
      train(models.narrow, { adapter, batch }, { env: { FAKE_GPU_LIMIT_MB: megabytes } }),
    ).rejects.toMatchObject({
      code: 'out_of_memory',
      message: expect.stringMatching(/^The GPU's memory is full/) as string,
    });
  });

  it(
    'is checked by check:gpu to its end, which finds that no number is right',
    { timeout: 90 * 60_000 },
    async () => {
      const out = join(temporaryFolder(), 'report.json');
      const script = join(checkout, 'tests', 'card', 'checkGpu.ts');
      const env = { ...onPretendMachine(), ...pretendDriver(), TF_CPP_MIN_LOG_LEVEL: '3' };
      const args = ['--shapes', 'tiny', '--minutes', '90', '--out', out];
      const ended = promisify(execFile)(process.execPath, [script, ...args], { env });
      await expect(ended).rejects.toMatchObject({ code: 1 });
      const report = JSON.parse(readFileSync(out, 'utf8')) as CheckReport;
      expect(report.device).toMatchObject({ kind: 'gpu', name: 'NVIDIA GeForce RTX 4090', peak: 165.2e12 });
      const casesOf = (part: string) => report.parts.find(({ name }) => name === part)!.cases;
      expect(casesOf('parity')).toHaveLength(28);
      for (const compared of [...casesOf('parity'), ...casesOf('training'), casesOf('decoding')[0]!])
        expect(compared, compared.name).toMatchObject({
          state: 'failed',
          reason: expect.stringMatching(/^numbers differ: /) as string,
        });
      for (const other of [...casesOf('out of memory'), ...casesOf('PMRC')])
        expect(other, other.name).toMatchObject({ state: 'passed' });
      expect(report.left).toEqual([]);
      // The processor computes its part of the comparison without the driver, and a full memory is no fault.
      expect(faultsIn(await driverLog())).toEqual([]);
    },
  );
});
