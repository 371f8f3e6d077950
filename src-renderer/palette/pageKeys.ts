import { navigate } from '../state/router.svelte.ts';
import { latestUndoable, undo } from '../state/toasts.svelte.ts';
import { isTyping } from '../state/keys.svelte.ts';
import { places } from '../state/places.ts';
import { overlay } from '../state/overlay.svelte.ts';

/** After g, this long is waited for the letter of a page. */
const waitMs = 1200;
let goUntil = 0;

/** Keys that hold on every page. */
export function onPageKey(event: KeyboardEvent): void {
  if (event.defaultPrevented || event.altKey) return;
  const isCommand = event.ctrlKey || event.metaKey;
  if (isCommand && !event.shiftKey && event.key.toLowerCase() === 'k') {
    event.preventDefault();
    overlay.open = overlay.open === 'palette' ? null : 'palette';
    return;
  }
  if (isTyping(event.target) || overlay.open !== null || isInDialog(event.target)) return;
  if (isCommand) {
    const last = event.key === 'z' && !event.shiftKey ? latestUndoable() : undefined;
    if (!last) return;
    event.preventDefault();
    void undo(last.id);
    return;
  }
  if (event.key === '?') {
    event.preventDefault();
    overlay.open = 'keys';
    return;
  }
  if (event.key === '/') {
    const filter = document.querySelector<HTMLInputElement>('main input[type="search"]');
    if (filter) event.preventDefault();
    filter?.focus();
    return;
  }
  const place = Date.now() < goUntil ? places.find(({ key }) => key === event.key) : undefined;
  goUntil = event.key === 'g' && !place ? Date.now() + waitMs : 0;
  if (!place) return;
  event.preventDefault();
  navigate(place.href);
}

function isInDialog(target: EventTarget | null): boolean {
  return (
    target instanceof Element &&
    target.closest('[role="dialog"], [role="alertdialog"], [role="menu"]') !== null
  );
}
