import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { CardPeak } from '../../contract/forecast.ts';

const run = promisify(execFile);

/**
 * Follows how much memory of a card a job takes, by nvidia-smi. TensorFlow gives nothing back to the card before its
 * process ends, so a few looks find the greatest: no look is needed in the middle of a step.
 */
export interface CardMeter {
  /** Looks where that was not done for a while. */
  look(): void;
  /** The greatest that was seen, once a look that is under way is done. */
  read(): Promise<CardPeak>;
}

/** Each look starts nvidia-smi, and takes the host's time from the launches. */
const betweenLooksMs = 5000;
const patienceMs = 5000;

const mebibyte = 2 ** 20;

/**
 * Begins with what is used of the card before the job takes any of it.
 * @param job.card as nvidia-smi counts
 * @param job.pid of its process: drivers of containers and of Windows do not tell of it, then what the card's memory
 * in use grew by is taken
 * @param job.isAlone whether nothing else of the studio is on the card: then its growth is the job's
 */
export function createCardMeter(
  job: { card: string; pid: number | undefined; isAlone(): boolean },
  now: () => number = () => performance.now(),
): CardMeter {
  let greatest: { bytes: number; by: 'process' | 'card' } | null = null;
  let note: string | null = 'no step was seen';
  let wasAlone = job.isAlone();
  let before: number | null = null;
  let last: number | null = null;
  let isLooking = false;
  let work: Promise<void> = begin();

  async function begin(): Promise<void> {
    before = await usedOfCard(job.card).catch(() => null);
  }

  async function see(): Promise<void> {
    try {
      const own = greatest?.by === 'card' ? null : await usedByProcess(job.card, job.pid);
      if (own !== null) {
        greatest = { bytes: Math.max(greatest?.bytes ?? 0, own), by: 'process' };
        note = null;
        return;
      }
      // A process of which the driver told before is not told of once it ends.
      if (greatest?.by === 'process') return;
      wasAlone &&= job.isAlone();
      if (!wasAlone) {
        greatest = null;
        note = 'the driver does not tell of its process, and other jobs of the studio were on the card';
        return;
      }
      const used = await usedOfCard(job.card);
      if (used === null || before === null) {
        note = 'nvidia-smi says N/A';
        return;
      }
      greatest = { bytes: Math.max(greatest?.bytes ?? 0, used - before), by: 'card' };
      note = null;
    } catch (error) {
      if (greatest === null) note = failureOf(error);
    }
  }

  return {
    look() {
      // Where nvidia-smi does not answer, looks that wait for each other would hold the end of a run up.
      if (isLooking || (last !== null && now() - last < betweenLooksMs)) return;
      last = now();
      isLooking = true;
      work = work.then(see).finally(() => (isLooking = false));
    },
    async read() {
      await work;
      return { bytes: greatest?.bytes ?? null, by: greatest?.by ?? null, note };
    },
  };
}

function failureOf(error: unknown): string {
  const { code, killed } = error as { code?: unknown; killed?: unknown };
  if (code === 'ENOENT') return 'there is no nvidia-smi';
  return killed === true ? 'nvidia-smi did not answer' : `nvidia-smi failed (${String(code)})`;
}

async function ask(card: string, query: string): Promise<string[]> {
  const format = ['--format=csv,noheader,nounits'];
  const { stdout } = await run('nvidia-smi', [`--id=${card}`, query, ...format], { timeout: patienceMs });
  return stdout.split('\n').filter((line) => line.trim() !== '');
}

/** Bytes of the card that are in use by whomever; null: N/A. */
async function usedOfCard(card: string): Promise<number | null> {
  const [line = ''] = await ask(card, '--query-gpu=memory.used');
  return bytesOf(line);
}

/** Bytes that a process has on the card; null: it is not told of. */
async function usedByProcess(card: string, pid: number | undefined): Promise<number | null> {
  const lines = await ask(card, '--query-compute-apps=pid,used_memory');
  const own = lines.map((line) => line.split(',')).find(([id]) => Number(id) === pid);
  return own === undefined ? null : bytesOf(own[1] ?? '');
}

/** Of MiB, whatever `nounits` leaves out. */
function bytesOf(text: string): number | null {
  const mebibytes = text.trim() === '' ? NaN : Number(text);
  return Number.isFinite(mebibytes) ? mebibytes * mebibyte : null;
}
