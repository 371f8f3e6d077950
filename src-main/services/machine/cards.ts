import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { EngineCard, EngineHost } from '../../engine/process/supervisor.ts';
import { describeGpu, installedWheel } from '../../setup/tensorflow/gpu.mjs';

const run = promisify(execFile);

/** A card that jobs can compute on, in bytes. */
export interface Card extends EngineCard {
  memoryUsedBytes: number;
}

/** The cards of this machine that the pinned TensorFlow can use. */
export interface Cards {
  /** As they were found last; none before that. */
  known(): readonly EngineCard[];
  /** Looks again. */
  find(): Promise<readonly Card[]>;
}

/** @param wheel what is installed: where it is for the processor no job computes on a card */
export function createCards(wheel = installedWheel): Cards {
  let known: readonly Card[] = [];
  return {
    known: () => known,
    async find() {
      const found = wheel();
      known = found?.kind === 'gpu' ? await usableCards(join(found.library, 'nvidia', 'cuda_nvcc')) : [];
      return known;
    },
  };
}

const fields = 'index,uuid,memory.total,memory.used,name,compute_cap,driver_version';

/** In the driver's order; where CUDA_VISIBLE_DEVICES names some, those. */
async function usableCards(cudaFolder: string): Promise<Card[]> {
  const found = await run('nvidia-smi', [`--query-gpu=${fields}`, '--format=csv,noheader,nounits'], {
    timeout: 5000,
  }).catch(() => null);
  const lines = found?.stdout.split('\n').map((line) => line.split(',').map((part) => part.trim())) ?? [];
  const visible = process.env['CUDA_VISIBLE_DEVICES']?.split(',').map((part) => part.trim());
  return lines.flatMap(([id, uuid, total, used, ...about]) => {
    const [name, capability] = about;
    if (id === undefined || about.length !== 3 || !describeGpu(about.join(', ')).usable) return [];
    if (visible && !visible.some((one) => one === id || (one.startsWith('GPU-') && uuid!.startsWith(one))))
      return [];
    // MiB, whatever `nounits` leaves out.
    const bytes = (text: string | undefined) => Number(text) * 2 ** 20;
    return [
      {
        id,
        name: name!,
        capability: capability!,
        // Flags are parted by spaces.
        cudaFolder: /\s/.test(cudaFolder) ? null : cudaFolder,
        memoryBytes: bytes(total),
        memoryUsedBytes: bytes(used),
      },
    ];
  });
}

/** The card that figures of the machine speak of: on which a run trains, else that of the next job. */
export function shownCard(cards: Cards, engine: Pick<EngineHost, 'jobsOn' | 'nextCard'>): string | null {
  const training = cards.known().find(({ id }) => engine.jobsOn(id).includes('train'));
  return training?.id ?? engine.nextCard();
}

const doing: Partial<Record<string, string>> = {
  train: 'a run trains',
  chat: 'a chat',
  bench: 'a benchmark of the engine',
};

/** The cards in words, each with its memory and what the studio does on it. */
export function cardWords(cards: readonly Card[], engine: Pick<EngineHost, 'jobsOn'>): string {
  const gigabytes = (bytes: number) => (bytes / 1e9).toFixed(1);
  return cards
    .map(({ id, name, memoryBytes, memoryUsedBytes }) => {
      const jobs = engine.jobsOn(id).map((kind) => doing[kind] ?? 'an evaluation or export');
      return `${id}: ${name}, ${gigabytes(memoryUsedBytes)} of ${gigabytes(memoryBytes)} GB used, ${jobs.join(' and ') || 'no job of this studio'}`;
    })
    .join('; ');
}
