import { chmodSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { Cards } from '../../../src-main/services/machine/cards.ts';
import { createCards } from '../../../src-main/services/machine/cards.ts';
import { createEngineHost, type EngineHost } from '../../../src-main/engine/process/supervisor.ts';
import { temporaryFolder } from '../temporaryFolder.ts';

const cardBytes = 24564;

/** Cards that an nvidia-smi in the PATH tells of, and an engine that takes them for what it computes on. */
export interface PretendCards {
  cards: Cards;
  /** The engine as it is, on the processor, for one core; asked what it computes on, it says a card. */
  engine(): EngineHost;
  /** Ends all its processes. */
  close(): void;
  /** Processes of jobs, in the order in which they began. */
  pids: number[];
  /** The folder of nvidia-smi, for a PATH. */
  folder: string;
  /** MiB in use on a card; text for what the driver does not tell. */
  use(card: number, mebibytes: number | string): void;
  /** What the processes on the cards use, in MiB. */
  useBy(processes: readonly { pid: number; mebibytes: number | string }[]): void;
}

/**
 * Puts an nvidia-smi first on the PATH of this process that answers what the studio asks of it.
 * @param count of the cards, NVIDIA L40 each
 */
export function pretendCards(count: number): PretendCards {
  const folder = temporaryFolder();
  const use = (card: number, mebibytes: number | string) =>
    writeFileSync(join(folder, `used-${card}`), `${mebibytes}`);
  const useBy: PretendCards['useBy'] = (processes) =>
    writeFileSync(
      join(folder, 'apps'),
      processes.map(({ pid, mebibytes }) => `${pid}, ${mebibytes}\n`).join(''),
    );
  const numbers = Array.from({ length: count }, (_, card) => card);
  for (const card of numbers) use(card, 500);
  useBy([]);
  const program = join(folder, 'nvidia-smi');
  writeFileSync(
    program,
    `#!/bin/sh
cards="${numbers.join(' ')}"
case "$*" in *--id=*) cards=$(echo "$*" | sed 's/.*--id=\\([0-9]*\\).*/\\1/');; esac
case "$*" in
  *--query-compute-apps=*) cat "${folder}/apps"; exit;;
esac
for card in $cards; do
  used=$(cat "${folder}/used-$card")
  case "$*" in
    *index,uuid*) echo "$card, GPU-$card$card, ${cardBytes}, $used, NVIDIA L40, 8.9, 570.124.06";;
    *memory.total*) echo "NVIDIA L40, ${cardBytes}, $used, 8.9";;
    *memory.used*) echo "$used";;
    *) echo "NVIDIA L40, 8.9, 570.124.06";;
  esac
done
`,
  );
  chmodSync(program, 0o755);
  process.env['PATH'] = `${folder}${delimiter}${process.env['PATH']}`;
  delete process.env['CUDA_VISIBLE_DEVICES'];
  const cards = createCards(() => ({ kind: 'gpu', library: '/no/tensorflow' }));
  const host = createEngineHost({ cards: cards.known, keeps: () => true });
  const pids: number[] = [];
  const engine = (): EngineHost => {
    const closing = new AbortController();
    return {
      ...host,
      start(request, options = {}) {
        const signal = AbortSignal.any([closing.signal, ...(options.signal ? [options.signal] : [])]);
        const job = host.start(request, { ...options, signal });
        if (request.kind !== 'probe') {
          if (job.pid !== undefined) pids.push(job.pid);
          return job;
        }
        const result = job.result.then((found) => ({ ...found, devices: ['gpu'] }));
        return { ...job, result } as typeof job;
      },
      close: () => closing.abort(),
    };
  };
  return { cards, engine, close: () => host.close(), pids, folder, use, useBy };
}
