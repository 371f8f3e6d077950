import { stored } from '../../state/stored.svelte.ts';
import type { Sorting } from './sorting.ts';
import { mergeSettings, type TableSettings } from './table.ts';

/** By table: a page that is opened again must not get a second copy of what it keeps. */
// Nothing on the page shows the map itself, so it is no SvelteMap.
// eslint-disable-next-line svelte/prefer-svelte-reactivity
const known = new Map<string, TableSettings>();

/** What a person has set at a table, kept over reloads. */
export function tableSettings(
  id: string,
  keys: readonly string[],
  firstSorting: Sorting<string>,
): TableSettings {
  const found = known.get(id);
  if (found) return found;
  const made = stored<TableSettings>(`studio.table.${id}`, (saved) =>
    mergeSettings(saved, keys, firstSorting),
  );
  known.set(id, made);
  return made;
}
