import { untrack } from 'svelte';

/** Keys of a part of the page, for the list that ? shows. */
export interface KeyGroup {
  title: string;
  keys: readonly { keys: string; what: string }[];
}

/** Groups of what stands on the page now, by title; a table that stands there twice is listed once. */
const shown = $state<{ group: KeyGroup; count: number }[]>([]);

export function shownKeys(): KeyGroup[] {
  return shown.map(({ group }) => group);
}

/** Lists keys while a component stands. To be called in an effect. @returns takes them off the list */
export function listKeys(group: KeyGroup): () => void {
  // The effect must not depend on the list that it changes.
  untrack(() => {
    const known = shown.find((entry) => entry.group.title === group.title);
    if (known) known.count++;
    else shown.push({ group, count: 1 });
  });
  return () =>
    untrack(() => {
      const at = shown.findIndex((entry) => entry.group.title === group.title);
      if (at >= 0 && --shown[at]!.count === 0) shown.splice(at, 1);
    });
}

const pushed = ['checkbox', 'radio', 'range', 'button', 'submit', 'color', 'file'];

/** Whether what is typed belongs to a field. */
export function isTyping(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (
    target.isContentEditable ||
    target instanceof HTMLTextAreaElement ||
    target instanceof HTMLSelectElement
  )
    return true;
  return target instanceof HTMLInputElement && !pushed.includes(target.type);
}

/** What lies over the page: the palette or the list of keys. */
export const overlay = $state<{ open: 'palette' | 'keys' | null }>({ open: null });
