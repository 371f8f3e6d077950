import { cpus } from 'node:os';
import { createEngineHost, type EngineHost } from '../../src-main/engine/process/supervisor.ts';
import type { EngineRequest } from '../../src-main/engine/protocol.ts';
import { createCards, type Card } from '../../src-main/services/machine/cards.ts';
import { usableMemory } from '../../src-main/services/machine/machine.ts';
import { findGpu, installedWheel, whyUnused } from '../../src-main/setup/tensorflow/gpu.mjs';
import { bf16PeakOf } from '../../src-main/budget/forecast/cardRates.ts';

/** What the check computes on. */
export interface CheckedDevice {
  kind: 'gpu' | 'cpu';
  name: string;
  /** Null: the processor. */
  card: Card | null;
  memoryBytes: number;
  /** Of products in bf16, in FLOP/s; null: not known. */
  peak: number | null;
  /** Engines that compute on it. */
  openHost(keeps?: (request: EngineRequest) => boolean): EngineHost;
}

/** There is nothing to check here. */
export class Refused extends Error {
  readonly remedy: string;
  constructor(message: string, remedy: string) {
    super(message);
    this.remedy = remedy;
  }
}

const rehearsal =
  '`npm run check:gpu -- --device cpu` rehearses the check on the processor, with tiny models.';

/**
 * The card that is checked.
 * @param asked its number as nvidia-smi counts; null: the first that can be used
 * @throws Refused with what was looked for, where there is none that TensorFlow computes on
 */
export async function findCard(asked: string | null): Promise<CheckedDevice> {
  const gpu = await findGpu();
  if (!gpu.usable)
    throw new Refused(
      `No card to check: ${gpu.reason}. nvidia-smi and /proc/driver/nvidia/gpus were asked.`,
      `${gpu.remedy ?? 'Run it on a machine with an NVIDIA card and its driver (in a container: --gpus all).'} ${rehearsal}`,
    );
  const wheel = installedWheel();
  const cards = await createCards().find();
  const card = asked === null ? cards[0] : cards.find(({ id }) => id === asked);
  if (wheel?.kind === 'gpu' && !card)
    throw new Refused(
      asked === null
        ? `No card to check: CUDA_VISIBLE_DEVICES is "${process.env['CUDA_VISIBLE_DEVICES'] ?? ''}", and nvidia-smi lists no such card that TensorFlow can use.`
        : `There is no card ${asked}: there are ${cards.map(({ id, name }) => `${id} (${name})`).join(', ') || 'none'}.`,
      'Name one that nvidia-smi lists.',
    );
  const host = createEngineHost(card ? { cards: () => [card] } : {});
  const log: string[] = [];
  try {
    const probe = host.start({ kind: 'probe', verbose: true }, { onLog: (line) => log.push(line) });
    const { devices } = await probe.result;
    if (!devices.includes('gpu') || !card) {
      const { reason, remedy, repairable } = await whyUnused(wheel, log);
      throw new Refused(
        `${gpu.reason} is not used: ${reason}.`,
        `${remedy} ${repairable ? '`npm run -s studio -- doctor --fix` repairs it. ' : ''}${rehearsal}`,
      );
    }
  } finally {
    host.close();
  }
  return {
    kind: 'gpu',
    name: card.name,
    card,
    memoryBytes: card.memoryBytes,
    peak: bf16PeakOf(card.name),
    openHost: (keeps) => createEngineHost({ cards: () => [card], ...(keeps && { keeps }) }),
  };
}

/** The processor in the place of a card: all parts run, and the figures are its own. */
export function processor(): CheckedDevice {
  return {
    kind: 'cpu',
    name: `${cpus()[0]?.model.trim() ?? 'unknown processor'}, ${cpus().length} cores`,
    card: null,
    memoryBytes: usableMemory(),
    peak: null,
    openHost: openReference,
  };
}

/** Engines that compute on the processor whatever cards there are, for what a card's numbers are compared with. */
export function openReference(keeps?: (request: EngineRequest) => boolean): EngineHost {
  return createEngineHost({
    // The pretend driver (docs/gpu.md) reads the second.
    env: { CUDA_VISIBLE_DEVICES: '-1', FAKE_GPU_COUNT: '0' },
    ...(keeps && { keeps }),
  });
}
