import type { MachineLoad } from '../../src-main/contract/machine.ts';
import type { Studio } from './studio.svelte.ts';

const everyMs = 4000;

/** How much of the machine is in use; null until it is known. */
export const machine = $state<{ load: MachineLoad | null }>({ load: null });

/**
 * Looks every few seconds while the page is seen and the studio answers. To be called in an effect. @returns ends it
 */
export function watchLoad(studio: Studio): () => void {
  let isEnded = false;
  let timer: ReturnType<typeof setTimeout> | undefined;
  async function look(): Promise<void> {
    if (document.visibilityState === 'visible' && studio.connection.kind === 'open')
      // Where it cannot be had the chip keeps the last figure; the banner says what is wrong.
      machine.load = await studio.client.call('studio.load', {}).catch(() => machine.load);
    if (!isEnded) timer = setTimeout(() => void look(), everyMs);
  }
  void look();
  return () => {
    isEnded = true;
    clearTimeout(timer);
  };
}
