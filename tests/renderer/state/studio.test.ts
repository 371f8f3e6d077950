import { describe, expect, it } from 'vitest';
import type { Run } from '../../../src-main/contract/entities.ts';
import type { StudioEvent } from '../../../src-main/contract/events.ts';
import type { StudioClient } from '../../../src-renderer/rpc/client.ts';
import { Studio } from '../../../src-renderer/state/studio.svelte.ts';
import { sampleRun } from '../../support/sampleRun.ts';

/** What the page knows, of a core that answers with empty lists and notes what it was asked. */
async function openedStudio(unfinished: StudioEvent[] = []) {
  const asked: string[] = [];
  let listener: Parameters<StudioClient['listen']>[0] | null = null;
  const client = {
    listen: (given: typeof listener) => (listener = given),
    call: async (name: string) => {
      asked.push(name);
      if (name === 'studio.info') return { version: '0', home: '/home', project: 'default', benchmarks: [] };
      if (name === 'studio.progress') return unfinished;
      if (name === 'runs.queue') return { isHeld: false, cards: 0, atOnce: 'all', running: [], waiting: [] };
      if (name === 'scoring.queue') return { running: [], waiting: [], ended: [], unreadable: [] };
      return ['runs.list', 'evaluations.list'].includes(name) ? { entries: [], next: null } : [];
    },
  } as unknown as StudioClient;
  const studio = new Studio(client);
  listener!.onReload();
  await expect.poll(() => studio.isLoaded).toBe(true);
  asked.length = 0;
  return { studio, asked, tell: (event: StudioEvent) => listener!.onEvent(event) };
}

const told = (run: Partial<Run>): StudioEvent => ({ type: 'run', run: sampleRun(run) });

describe('the list of projects', () => {
  it.each(['default', 'elsewhere'])(
    'is asked for when a run of the project “%s” changes its state, not with its steps',
    async (project) => {
      const { asked, tell } = await openedStudio();
      for (let step = 0; step < 50; step++) tell(told({ project, state: 'running', step }));
      expect(asked).toEqual(['projects.list']);
      tell(told({ project, state: 'done', step: 50 }));
      expect(asked).toEqual(['projects.list', 'projects.list']);
    },
  );
});

describe('work that takes long', () => {
  const exporting = { type: 'progress', task: 'export a', label: 'Writing', done: 3, total: 4 } as const;

  it('is known to a page that came while it went on, until it is over', async () => {
    const { studio, tell } = await openedStudio([exporting]);
    expect(studio.progress.get('export a')).toMatchObject({ label: 'Writing', done: 3 });
    tell({ ...exporting, done: 4 });
    // The part is complete, the work is not.
    expect(studio.progress.get('export a')).toMatchObject({ done: 4 });
    tell({ ...exporting, label: 'Computing', done: 0, total: null });
    tell({ type: 'progress.ended', task: 'export a' });
    expect([...studio.progress]).toEqual([]);
  });
});
