/** What lies over the page: the palette or the list of keys. */
export const overlay = $state<{ open: 'palette' | 'keys' | null }>({ open: null });
