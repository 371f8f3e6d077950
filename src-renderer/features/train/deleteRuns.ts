import type { Run } from '../../../src-main/contract/entities.ts';
import type { StudioClient } from '../../rpc/client.ts';
import { deleteWithUndo } from '../../state/toasts.svelte.ts';
import { bytes } from '../../ui/format.ts';

/** Deletes runs, says what that frees, and offers to take it back. @throws StudioError */
export async function deleteRuns(client: StudioClient, runs: readonly Run[]): Promise<void> {
  const ids = runs.map(({ id }) => id);
  const freed = await Promise.all(ids.map((run) => client.call('runs.storage', { run })));
  const freedBytes = freed.reduce((total, entry) => total + entry.freedBytes, 0);
  const what = runs.length === 1 ? `the run ${runs[0]!.name}` : `${runs.length} runs`;
  await deleteWithUndo({
    text: `Deleted ${what}${freedBytes > 0 ? `: ${bytes(freedBytes)} are freed` : ''}.`,
    remove: () => Promise.all(ids.map((run) => client.call('runs.remove', { run }))),
    restore: { client, calls: ids.map((run) => ({ name: 'runs.restore', input: { run } })) },
  });
}
