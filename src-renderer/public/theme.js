// Sets theme and contrast before the first paint. A plain file: the content security policy allows no inline script.
(() => {
  const { dataset } = document.documentElement;
  const system = (query) => matchMedia(query).matches;
  let chosen = {};
  try {
    chosen = JSON.parse(localStorage.getItem('studio.appearance') ?? '{}') ?? {};
  } catch {
    // Storage that cannot be read leaves the system's theme.
  }
  const isDark =
    chosen.theme === 'dark' || (chosen.theme !== 'light' && system('(prefers-color-scheme: dark)'));
  dataset.theme = isDark ? 'dark' : 'light';
  if (chosen.contrast === 'more' || system('(prefers-contrast: more)')) dataset.contrast = 'more';
})();
