import { StudioError } from '../../contract/errors.ts';
import { openBubblewrap } from './bubblewrap/bubblewrap.ts';
import { openPyodide } from './pyodide/pyodide.ts';
import type { Sandbox } from './sandbox.ts';

/** The better first: one that the kernel keeps, then one that Node keeps. */
const kinds = { bubblewrap: openBubblewrap, pyodide: openPyodide } as const;

/**
 * The best sandbox that works on this machine, which was tried with programs that pass and fail.
 * @param only the kinds that are tried; absent: all
 * @throws StudioError sandbox_missing: what each lacks, and what to install; cancelled
 */
export async function findSandbox(
  signal: AbortSignal,
  only: readonly Sandbox['kind'][] = ['bubblewrap', 'pyodide'],
): Promise<Sandbox> {
  const found: StudioError[] = [];
  for (const kind of only)
    try {
      return await kinds[kind](signal);
    } catch (error) {
      if (!(error instanceof StudioError) || error.code !== 'sandbox_missing') throw error;
      found.push(error);
    }
  if (only.length === 1 && found[0]) throw found[0];
  throw new StudioError(
    'sandbox_missing',
    `There is no sandbox for generated code on this machine: ${found.map(({ message }) => message).join(' ')}`,
    found[0]?.remedy ?? 'Allow a sandbox.',
  );
}
