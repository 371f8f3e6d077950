import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { SafetensorsFile } from '../../src-main/formats/files/safetensors.ts';
import { lockHome } from '../../src-main/store/homeLock.ts';
import { writeGeneratedDataset } from '../fixtures/generatedDataset.ts';
import { studio, type CommandResult } from '../support/commandLine.ts';
import { spoiltModel, spoiltText } from '../support/faults/spoiltModel.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';
import { tinyLlama } from '../support/paths.ts';

const home = temporaryFolder();
const data = join(home, 'sums.jsonl');
const run = (...args: string[]) => studio([...args, '--home', home]);
const json = (result: CommandResult): unknown => JSON.parse(result.stdout);
const tiny = ['--batch', '4', '--context', '64', '--lr', '1e-2', '--held-out', '0.2'];

beforeAll(() => writeGeneratedDataset(data, 60, 1));

describe('as design says', () => {
  it('doctor', async () => {
    const result = await run('doctor', '--json');
    expect(result.code).toBe(0);
    expect(json(result)).toMatchObject({ ok: true });
  });

  it('budget of a preset and of a folder, counted and solved', async () => {
    const counted = await run(
      'budget',
      '--model',
      'llama-3-8b',
      '--method',
      'lora,idlora',
      '--rank',
      '128',
      '--json',
    );
    expect(json(counted)).toMatchObject({
      model: 'llama-3-8b',
      methods: [
        { method: 'lora', rank: 128, trainable: 335_544_320, frozenExtra: 0, base: 8_030_261_248 },
        { method: 'idlora', rank: 128, trainable: 49_020_928, perModule: expect.any(Array) as unknown },
      ],
    });
    const solved = await run('budget', '--model', tinyLlama, '--solve', '4000', '--method', 'lora', '--json');
    expect(json(solved)).toMatchObject({
      methods: [{ method: 'lora', rank: 2, trainable: 2880, remainder: 1120 }],
    });
    const share = ['--solve', '0.5%', '--solve-percent', 'paper', '--method', 'idlora'];
    const over = ['--solve-over', 'rank=4..128,clusters=2..6,boost=1..4'];
    expect(json(await run('budget', '--model', 'llama-3-8b', ...share, ...over, '--json'))).toMatchObject({
      budget: { unit: 'percentPaper', most: 0.5 },
      methods: [{ rank: 114, clusters: 2, boost: 2, used: expect.closeTo(0.4992, 4) as number }],
    });
    const bytes = ['--solve', '8MB', '--solve-dtype', 'bf16', '--solve-over', 'rank=8,targets'];
    const sized = await run('budget', '--model', 'llama-3.2-1b', ...bytes, '--method', 'lora', '--json');
    const [found] = (json(sized) as { methods: { used: number; targets: string[] }[] }).methods;
    expect(found!.used).toBeLessThanOrEqual(8_000_000);
    expect(found!.targets.length).toBeLessThan(7);
    const human = await run('budget', '--model', 'llama-3-8b', '--solve', '1000');
    expect(human.code).toBe(0);
    expect(human.stdout).toMatch(
      /hydralora needs at least [\d,]+ trainable parameters.*rank 1, heads 3 on q_proj/,
    );
  });

  it('budget of an architecture that the engine lacks, as far as its config.json tells', async () => {
    const folder = temporaryFolder();
    const known = { model_type: 'novel', hidden_size: 64, num_hidden_layers: 2, num_attention_heads: 4 };
    const write = (config: object) => writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
    const count = () => run('budget', '--model', folder, '--method', 'lora', '--rank', '2', '--json');
    write(known);
    const refused = await count();
    expect(refused.code).toBe(1);
    expect(json(refused)).toMatchObject({
      error: { message: expect.stringMatching(/lacks intermediate_size, vocab_size/) as string },
    });
    write({ ...known, intermediate_size: 128, vocab_size: 100 });
    // 2 layers x 2 x (four of 64 + 64, three of 64 + 128)
    expect(json(await count())).toMatchObject({
      methods: [{ trainable: 2 * 2 * (4 * 128 + 3 * 192) }],
      notes: [
        expect.stringMatching(/cannot be trained here/) as string,
        expect.stringMatching(/a decoder of Llama's layout/) as string,
        expect.stringMatching(/tie_word_embeddings/) as string,
      ],
    });
  });

  it('train prints one JSON line an event; eval, compare, generate, logits and export one document', async () => {
    for (const [name, method] of [
      ['a', ['--method', 'lora']],
      ['b', ['--method', 'idlora', '--clusters', '3']],
    ] as const) {
      const trained = await run(
        'train',
        '--model',
        tinyLlama,
        '--data',
        data,
        ...method,
        '--rank',
        '4',
        '--max-steps',
        '6',
        ...tiny,
        '--name',
        name,
        '--json',
      );
      expect(trained.code).toBe(0);
      const lines = trained.stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as { event: string });
      expect(lines.map(({ event }) => event)).toEqual([
        'start',
        ...Array<string>(6).fill('step'),
        'eval',
        'checkpoint',
        'done',
      ]);
      expect(lines[0]).toMatchObject({ trainable: expect.any(Number) as number, totalSteps: 6 });
      expect(lines[1]).toMatchObject({
        step: 1,
        loss: expect.any(Number) as number,
        gradNorm: expect.any(Number) as number,
        tokensPerSecond: expect.any(Number) as number,
      });
      expect(lines.at(-1)).toMatchObject({
        outcome: 'all_steps',
        step: 6,
        bestStep: 6,
        bestHeldOutLoss: expect.any(Number) as number,
        skippedSteps: 0,
      });
    }
    const evaluated = json(
      await run(
        'eval',
        '--model',
        'tiny-llama',
        '--adapter',
        'a',
        '--benchmark',
        'perplexity,gsm8k',
        '--path',
        data,
        '--limit',
        '5',
        '--max-tokens',
        '8',
        '--json',
      ),
    );
    expect(evaluated).toMatchObject({
      benchmarks: [
        { benchmark: 'perplexity', n: 5 },
        {
          benchmark: 'gsm8k',
          n: 5,
          shots: 0,
          items: [{ index: 0, target: expect.any(String) as string }, {}, {}, {}, {}],
        },
      ],
    });
    const compared = json(await run('compare', 'a', 'b', '--benchmark', 'perplexity', '--json'));
    expect(compared).toMatchObject({
      comparisons: [{ a: 'a', b: 'b', n: 12, family: 1, seeds: { a: [0], b: [0] } }],
      rankings: [{ benchmark: 'perplexity', metric: 'mean_loss', subjects: [{ n: 12 }, { n: 12 }] }],
      arms: [],
    });
    const generated = json(
      await run(
        'generate',
        '--model',
        'tiny-llama',
        '--adapter',
        'b',
        '--prompt',
        'What',
        '--max-tokens',
        '4',
        '--json',
      ),
    );
    expect(generated).toMatchObject({
      text: expect.any(String) as string,
      tokensPerSecond: expect.any(Number) as number,
    });
    const out = join(home, 'logits.safetensors');
    expect(
      json(await run('logits', '--model', tinyLlama, '--ids', '1,2,3', '--out', out, '--json')),
    ).toMatchObject({ tokens: 3, vocabulary: 101 });
    const file = new SafetensorsFile(out, 'internal');
    expect(file.tensors.get('logits')).toMatchObject({ dtype: 'F32', shape: [3, 101] });
    file.close();
    const exported = json(await run('export', 'b', '--format', 'peft', '--out', join(home, 'out'), '--json'));
    expect(exported).toMatchObject({ certificate: { equal: true } });
    expect(existsSync(join(home, 'out', 'adapter_model.safetensors'))).toBe(true);
    expect(json(await run('runs', 'list', '--json'))).toMatchObject([{ name: 'b' }, { name: 'a' }]);
  });

  it('budget for as many parameters as a run has', async () => {
    const alike = await run(
      'budget',
      '--model',
      'tiny-llama',
      '--solve',
      'run:a',
      '--method',
      'lora',
      '--json',
    );
    expect(json(alike)).toMatchObject({ methods: [{ rank: 4, remainder: 0 }] });
  });

  it('train --method full needs no rank; export writes a model that logits can use', async () => {
    const options = ['--model', tinyLlama, '--data', data, '--method', 'full', '--max-steps', '3', ...tiny];
    const trained = await run('train', ...options, '--name', 'everything', '--json');
    expect(trained.code).toBe(0);
    const [start] = trained.stdout.split('\n');
    expect(JSON.parse(start!)).toMatchObject({
      event: 'start',
      trainable: 46_800,
      base: 46_800,
      frozenExtra: 0,
    });
    const out = join(home, 'everything');
    const refused = await run('export', 'everything', '--format', 'peft', '--out', out, '--json');
    expect(refused.code).toBe(1);
    expect(json(refused)).toMatchObject({ error: { code: 'config_invalid' } });
    const exported = json(await run('export', 'everything', '--format', 'merged', '--out', out, '--json'));
    expect(exported).toMatchObject({ format: 'merged', certificate: { equal: true, maxLogitDifference: 0 } });
    const file = join(home, 'everything.safetensors');
    const computed = await run('logits', '--model', out, '--ids', '1,2', '--out', file, '--json');
    expect(json(computed)).toMatchObject({ tokens: 2, vocabulary: 101 });
  });

  it('train refuses what cannot be, with the nearest that can, and names what has no effect', async () => {
    const refused = async (...options: string[]) => {
      const result = await run(
        'train',
        '--model',
        tinyLlama,
        '--data',
        data,
        '--name',
        'refused',
        ...options,
        '--json',
      );
      expect(result.code).toBe(1);
      return json(result);
    };
    expect(await refused('--context', '500')).toMatchObject({
      error: { code: 'config_invalid', message: expect.stringContaining('context of 500') as string },
    });
    expect(await refused('--method', 'full', '--targets', 'q_proj')).toMatchObject({
      error: { message: expect.stringContaining('a choice of modules (q_proj)') as string },
    });
    expect(await refused('--warmup', '5', '--max-steps', '4')).toMatchObject({
      error: { message: expect.stringContaining('warm-up of 5') as string },
    });
    expect((await run('runs', 'show', 'refused')).stderr).toContain('no run "refused"');

    const options = ['--method', 'lora', '--heads', '4', '--max-steps', '1', '--batch', '2'];
    const trained = await run('train', '--model', tinyLlama, '--data', data, ...options, '--name', 'short');
    expect(trained.code).toBe(0);
    expect(trained.stderr).toContain('Without effect beside the other options: --heads 4');
    expect(trained.stderr).toContain('Rows end after 96 tokens');
    const shown = json(await run('runs', 'show', 'short', '--json'));
    expect(shown).toMatchObject({ config: { context: 96 } });
    expect((await run('runs', 'remove', 'short')).code).toBe(0);
  });

  it('train reports skipped steps, an early end and the best step; refuses early stopping without evaluations', async () => {
    const model = spoiltModel();
    const rows = join(home, 'spoilt.jsonl');
    const lines = readFileSync(data, 'utf8').trim().split('\n');
    writeFileSync(
      rows,
      lines
        .map((line, i) =>
          i === 7 ? JSON.stringify({ ...(JSON.parse(line) as object), question: spoiltText }) : line,
        )
        .join('\n'),
    );
    const given = [
      '--model',
      model,
      '--data',
      rows,
      '--method',
      'lora',
      '--rank',
      '8',
      ...tiny,
      '--batch',
      '8',
    ];
    const early = ['--early-stopping-patience', '2', '--keep-best', 'true', '--optimizer', 'adamw8bit'];
    const refused = await run('train', ...given, ...early, '--name', 'e', '--json');
    expect(refused.code).toBe(1);
    expect(json(refused)).toMatchObject({ error: { code: 'config_invalid' } });
    const trained = await run(
      'train',
      ...given,
      ...early,
      ...['--lr', '5e-2', '--schedule', 'constant', '--eval-every', '2', '--max-steps', '300'],
      ...['--name', 'e', '--json'],
    );
    const events = trained.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    const skipped = events.filter((event) => event['skipped'] === true);
    expect(skipped.length).toBeGreaterThan(0);
    expect(skipped[0]).toMatchObject({ event: 'step', loss: null, gradNorm: null, reason: 'loss NaN' });
    const done = events.at(-1) as { step: number; bestStep: number };
    expect(done).toMatchObject({
      event: 'done',
      state: 'done',
      outcome: 'early_stopped',
      skippedSteps: skipped.length,
    });
    expect(done.bestStep).toBe(done.step - 4);
  });

  it('Ctrl+C stops with a checkpoint, and --resume goes on to the end', async () => {
    const args = [
      'train',
      '--model',
      tinyLlama,
      '--data',
      data,
      '--method',
      'lora',
      '--rank',
      '4',
      '--max-steps',
      '300',
      ...tiny,
      '--name',
      'long',
      '--json',
      '--home',
      home,
    ];
    const stopped = await studio(args, { interruptAt: /"step":5,/ });
    expect(stopped.code).toBe(0);
    const last = JSON.parse(stopped.stdout.trim().split('\n').at(-1)!) as { state: string; step: number };
    expect(last.state).toBe('stopped');
    expect(last.step).toBeLessThan(300);
    const resumed = await run('train', '--resume', 'long', '--max-steps', String(last.step + 3), '--json');
    const lines = resumed.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as object);
    // The rate falls to zero by another step than before: that is said.
    expect(lines[0]).toMatchObject({ event: 'log', line: expect.stringMatching(/learning rate/) as unknown });
    expect(lines[1]).toMatchObject({ event: 'start', firstStep: last.step + 1 });
    expect(lines.at(-1)).toMatchObject({ event: 'done', state: 'done', step: last.step + 3 });
  });
});

describe('refuses, with exit codes and the one error form', () => {
  it.each<[string[], number, string, RegExp]>([
    [['nosuch'], 2, 'usage', /no command "nosuch"/],
    [['train', '--rank', 'x', '--model', 'm', '--data', 'd'], 2, 'usage', /--rank "x" is not a number/],
    [['train', '--method', 'vera', '--model', 'm', '--data', 'd'], 2, 'usage', /--method "vera"/],
    [['train', '--lr=-1', '--model', 'm', '--data', 'd'], 2, 'usage', /--lr -1/],
    [['train', '--nosuch', '1'], 2, 'usage', /--nosuch/],
    [['train', '--data', 'd', '--method', 'lora'], 2, 'usage', /--model is missing/],
    [['budget', '--model', 'nosuch', '--rank', '4'], 2, 'usage', /"nosuch" is no preset/],
    [['budget', '--model', 'llama-3-8b', '--solve', '4.5'], 2, 'usage', /4.5 parameters is no whole number/],
    [
      ['budget', '--model', 'llama-3-8b', '--solve', '4000', '--solve-over', 'depth'],
      2,
      'usage',
      /there are rank/,
    ],
    [['budget', '--model', 'llama-3-8b', '--solve-over', 'rank'], 2, 'usage', /--solve is missing/],
    [['export', 'a', '--format', 'onnx', '--out', 'x'], 2, 'usage', /no export format "onnx"/],
    [['eval', '--model', 'm', '--benchmark', 'nosuch'], 2, 'usage', /no benchmark "nosuch"/],
    [['models', 'show', 'nosuch'], 1, 'not_found', /no model "nosuch"/],
    [['models', 'add', '/no/such/folder'], 1, 'not_found', /no folder/],
    [['train', '--resume', 'nosuch'], 1, 'not_found', /no run "nosuch"/],
    [
      ['train', '--model', tinyLlama, '--data', data, '--method', 'idlora', '--rank', '16'],
      1,
      'config_invalid',
      /64 different rows of .*which has/,
    ],
    [
      ['budget', '--model', tinyLlama, '--method', 'idlora', '--rank', '5'],
      1,
      'config_invalid',
      /rank 5 is no multiple of 2/,
    ],
  ])('%j', async (args, code, errorCode, message) => {
    const result = await run(...args, '--json');
    expect(result.code).toBe(code);
    expect(json(result)).toMatchObject({
      error: {
        code: errorCode,
        message: expect.stringMatching(message) as string,
        remedy: expect.stringMatching(/.{10}/) as string,
      },
    });
  });

  it('a second studio on the same data folder, while lists can still be read', async () => {
    const locked = temporaryFolder();
    const unlock = lockHome(locked);
    const refused = await studio(['models', 'add', tinyLlama, '--home', locked, '--json']);
    unlock();
    expect(json(refused)).toMatchObject({
      error: { code: 'home_locked', message: expect.stringContaining(String(process.pid)) as string },
    });
    expect(refused.code).toBe(1);
  });
});
