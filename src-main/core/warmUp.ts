import type { ProcedureHandlers, ProcedureName } from '../contract/procedures.ts';
import { dispatch } from './dispatch.ts';

/** What every page asks for first. */
const firstAsked: readonly ProcedureName[] = [
  'studio.info',
  'projects.list',
  'runs.list',
  'evaluations.list',
];

/** Asks once what a page will ask for: code takes several times as long when it runs for the first time. */
export async function warmUp(handlers: ProcedureHandlers): Promise<void> {
  const { signal } = new AbortController();
  for (const name of firstAsked) await dispatch(handlers, name, {}, signal);
}
