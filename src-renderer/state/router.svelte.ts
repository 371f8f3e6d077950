/** The page's address: history paths, so that links, back and forward work in a browser and in the desktop shell. */
export const router = $state({ path: location.pathname, query: location.search });

window.addEventListener('popstate', read);

function read(): void {
  router.path = location.pathname;
  router.query = location.search;
}

/** Goes to an address of the studio, for example `/train/runs/ab12`. */
export function navigate(href: string, options: { replace?: boolean } = {}): void {
  const before = location.pathname;
  if (options.replace) history.replaceState(null, '', href);
  else history.pushState(null, '', href);
  read();
  if (before === location.pathname) return;
  window.scrollTo(0, 0);
  // Whoever uses a screen reader or the keyboard starts at the new page's top.
  requestAnimationFrame(() => document.querySelector<HTMLElement>('h1')?.focus({ preventScroll: true }));
}

/** Makes plain links inside the page navigate without a reload. */
export function followLinks(event: MouseEvent): void {
  if (event.defaultPrevented || event.button !== 0) return;
  if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const link = (event.target as Element).closest('a');
  if (!link || link.target || link.origin !== location.origin || link.hasAttribute('download')) return;
  if (link.hash) return;
  event.preventDefault();
  navigate(link.pathname + link.search);
}
