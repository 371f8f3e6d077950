import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { adapterSites, modulePath } from '../../../src-main/shape/adapterSites.ts';
import { moduleSize } from '../../../src-main/shape/modelShape.ts';
import { adapterConfigSchema, type AdapterConfig } from '../../../src-main/contract/training.ts';
import { createRandom } from '../../../src-main/statistics/random.ts';
import { generate } from '../../../src-main/engine/inference/generate.ts';
import { logits } from '../../../src-main/engine/inference/logits.ts';
import { score } from '../../../src-main/engine/inference/score.ts';
import { hostBytes } from '../../../src-main/engine/graph/session.ts';
import { loadTensorflow } from '../../../src-main/engine/runtime/loadTensorflow.ts';
import { readDecoderConfig } from '../../../src-main/formats/families/huggingFaceConfig.ts';
import { writeAdapterFolder, type AdapterTensor } from '../../../src-main/formats/adapter/peftAdapter.ts';
import { SafetensorsFile } from '../../../src-main/formats/files/safetensors.ts';
import { TokenFileReader, writeTokenFile } from '../../../src-main/formats/files/tokenFile.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';
import { tinyLlama } from '../../support/paths.ts';
import { trainTiny, writeRandomRows } from '../../support/trainingRun.ts';

const { tf } = loadTensorflow();
const context = { tf, fusion: false, emit: () => undefined, stopRequested: async () => null };
const decoder = readDecoderConfig(tinyLlama);
const [experts, tasks, rank] = [2, 3, 4];
const moe = adapterConfigSchema.parse({ method: 'moelora', rank, alpha: 8, experts, gate: 'task', tasks });
const folder = temporaryFolder();

/** Random parameters of a task-gated adapter by name, with their shapes. */
const values = new Map<string, { shape: number[]; data: Float32Array }>();
const random = createRandom(5);
function draw(name: string, shape: number[], size: number) {
  const count = shape.reduce((n, m) => n * m, 1);
  const data = Float32Array.from({ length: count }, () => (random.next() - 0.5) * 2 * size);
  values.set(name, { shape, data });
}
draw('model.moelora_task_embedding.weight', [tasks + 1, 64], 1);
draw('model.moelora_gate.weight', [experts, 64], 0.5);
const sites = adapterSites(decoder, moe).map(({ site }) => ({
  path: modulePath(site),
  ...moduleSize(decoder, site.module),
}));
for (const { path, dIn, dOut } of sites)
  for (let i = 0; i < experts; i++) {
    draw(`${path}.moelora_A.${i}.weight`, [rank / experts, dIn], 0.3);
    draw(`${path}.moelora_B.${i}.weight`, [dOut, rank / experts], 0.3);
  }

function write(name: string, adapter: AdapterConfig, tensors: [string, number[], Float32Array][]): string {
  const path = join(folder, name);
  const list = tensors.map(([tensor, shape, data]): AdapterTensor => ({
    name: tensor,
    dtype: 'F32',
    shape,
    data: hostBytes(data),
  }));
  writeAdapterFolder(path, adapter, { name: 'tiny', sha256: 'x', quantization: 'none' }, list);
  return path;
}
const gated = write(
  'gated',
  moe,
  [...values].map(([name, { shape, data }]) => [name, shape, data]),
);

/** softmax(G e_t), in double precision. */
function gates(task: number): number[] {
  const embedding = values
    .get('model.moelora_task_embedding.weight')!
    .data.subarray(task * 64, task * 64 + 64);
  const gate = values.get('model.moelora_gate.weight')!.data;
  const exponents = Array.from({ length: experts }, (_, i) =>
    Math.exp(embedding.reduce((sum, e, d) => sum + e * gate[i * 64 + d]!, 0)),
  );
  const total = exponents.reduce((a, b) => a + b, 0);
  return exponents.map((e) => e / total);
}

/** What the gated adapter is for one task: a LoRA with A = [A_1; ...] and B = [g_1 B_1, ...]. */
function asLora(task: number): string {
  const g = gates(task);
  const own = rank / experts;
  const tensors = sites.flatMap(({ path, dIn, dOut }): [string, number[], Float32Array][] => {
    const a = Float32Array.from(
      Array.from({ length: experts }, (_, i) => [
        ...values.get(`${path}.moelora_A.${i}.weight`)!.data,
      ]).flat(),
    );
    const b = Float32Array.from({ length: dOut * rank }, (_, at) => {
      const [row, column] = [Math.floor(at / rank), at % rank];
      const expert = Math.floor(column / own);
      return g[expert]! * values.get(`${path}.moelora_B.${expert}.weight`)!.data[row * own + (column % own)]!;
    });
    return [
      [`${path}.lora_A.weight`, [rank, dIn], a],
      [`${path}.lora_B.weight`, [dOut, rank], b],
    ];
  });
  return write(`lora-${task}`, adapterConfigSchema.parse({ method: 'lora', rank, alpha: 8 }), tensors);
}
const loras = Array.from({ length: tasks + 1 }, (_, task) => asLora(task));
const reference = (adapterFolder: string) => ({
  folder: tinyLlama,
  precision: 'f32' as const,
  adapterFolder,
});

describe('a task-gated MoELoRA is one LoRA for each task', () => {
  it('logits', async () => {
    const outFile = join(folder, 'logits.safetensors');
    const ids = [1, 5, 9, 40, 77, 3, 20];
    const read = async (adapterFolder: string, task: number) => {
      await logits({ kind: 'logits', model: reference(adapterFolder), ids, task, outFile }, context);
      const file = new SafetensorsFile(outFile, 'internal');
      const found = new Float32Array(file.read('logits').buffer);
      file.close();
      return found;
    };
    const all: Float32Array[] = [];
    for (let task = 0; task <= tasks; task++) {
      const [own, lora] = [await read(gated, task), await read(loras[task]!, 0)];
      expect(Math.max(...own.map((value, i) => Math.abs(value - lora[i]!)))).toBeLessThan(2e-5);
      all.push(own);
    }
    expect(Math.max(...all[1]!.map((value, i) => Math.abs(value - all[2]![i]!)))).toBeGreaterThan(1e-2);
  });

  it('scores: every row of a batch with its own task', async () => {
    const tokenFile = join(folder, 'rows');
    writeRandomRows(tokenFile, 6, 3, tasks);
    const file = new TokenFileReader(tokenFile);
    expect([...file.tasks]).toEqual([0, 1, 2, 3, 0, 1]);
    const { rows } = await score({ kind: 'score', model: reference(gated), tokenFile, batch: 4 }, context);
    for (let task = 0; task <= tasks; task++) {
      const lora = await score(
        { kind: 'score', model: reference(loras[task]!), tokenFile, batch: 4 },
        context,
      );
      rows.forEach((row, i) => {
        if (file.tasks[i] === task) expect(row.lossSum / lora.rows[i]!.lossSum).toBeCloseTo(1, 5);
      });
    }
    file.close();
  });

  it('decoding', async () => {
    const ask = async (adapterFolder: string, task: number) =>
      generate(
        {
          kind: 'generate',
          model: reference(adapterFolder),
          prompts: [
            [1, 9, 30],
            [1, 12, 13, 14, 60, 7],
          ],
          maxTokens: 10,
          temperature: 0,
          topP: 1,
          seed: 1,
          stop: [],
          endIds: [],
          batch: 2,
          task,
        },
        context,
      );
    for (const task of [0, 2]) {
      const [own, lora] = [await ask(gated, task), await ask(loras[task]!, 0)];
      expect(own.rows).toEqual(lora.rows);
    }
  });
});

describe('tasks that the adapter does not know', () => {
  it('in a request', async () => {
    const request = { kind: 'logits', model: reference(gated), ids: [1], task: 4, outFile: '' } as const;
    await expect(logits(request, context)).rejects.toThrow(
      /Task 4 is not among those of the adapter, 0 to 3/,
    );
  });
  it('in a file of rows', async () => {
    const tokenFile = join(folder, 'foreign');
    writeTokenFile(tokenFile, [{ ids: Int32Array.of(1, 5), trained: Uint8Array.of(0, 1), task: 9 }]);
    const request = { kind: 'score', model: reference(gated), tokenFile, batch: 1 } as const;
    await expect(score(request, context)).rejects.toThrow(/Task 9 is not among/);
  });
});

describe('training with the task gate', () => {
  const config = {
    adapter: { ...moe, rankStabilized: true },
    maxSteps: 12,
    batch: 4,
    context: 32,
    learningRate: 1e-2,
    heldOutRows: 5,
  };

  it.each([false, true])(
    'lowers the loss, moves gate and embedding, and can be resumed; XLA functions %s',
    async (fusion) => {
      const place = temporaryFolder();
      const { events, result } = await trainTiny({ config, folder: place, tasks, fusion });
      const losses = events.flatMap((event) => (event.type === 'step' ? [event.loss] : []));
      expect(losses.at(-1)!).toBeLessThan(losses[0]!);
      const lora = sites.reduce((sum, { dIn, dOut }) => sum + rank * (dIn + dOut), 0);
      expect(events.find(({ type }) => type === 'start')).toMatchObject({
        trainable: lora + (tasks + 1) * 64 + experts * 64,
        frozenExtra: 0,
      });
      const adapter = new SafetensorsFile(
        join(result.checkpoint!, 'adapter', 'adapter_model.safetensors'),
        'internal',
      );
      const key = 'base_model.model.model.moelora_task_embedding.weight';
      expect(adapter.tensors.get(key)?.shape).toEqual([4, 64]);
      const embedding = new Float32Array(adapter.read(key).buffer);
      adapter.close();
      // torch.nn.Embedding's start, hardly moved yet.
      const deviation = Math.sqrt(
        embedding.reduce((sum, value) => sum + value * value, 0) / embedding.length,
      );
      expect(deviation).toBeGreaterThan(0.8);
      expect(deviation).toBeLessThan(1.2);
      const written = readFileSync(join(result.checkpoint!, 'adapter', 'adapter_config.json'), 'utf8');
      expect(JSON.parse(written)).toMatchObject({
        peft_type: 'MOELORA',
        gate: 'task',
        num_tasks: 3,
        num_experts: 2,
      });
      // Compiling for a second session takes seconds and shows nothing new.
      if (fusion) return;
      const more = await trainTiny({
        config: { ...config, maxSteps: 13 },
        folder: place,
        resumeFrom: result.checkpoint,
        tasks,
        fusion,
      });
      expect(more.result).toMatchObject({ outcome: 'done', step: 13 });
    },
  );

  it('refuses rows of unknown tasks, and several tasks where rows name none', async () => {
    await expect(trainTiny({ config, folder: temporaryFolder(), tasks: 5 })).rejects.toThrow(
      /Task 5 is not among those of the adapter, 0 to 3/,
    );
    await expect(trainTiny({ config, folder: temporaryFolder() })).rejects.toThrow(
      /tells 3 tasks apart, but no row of the dataset has a task/,
    );
  });
});
