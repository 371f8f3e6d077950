// Sets the chosen theme before the first paint. A plain file: the content security policy allows no inline script.
(() => {
  try {
    const chosen = JSON.parse(localStorage.getItem('studio.appearance') ?? '{}');
    if (chosen.theme === 'light' || chosen.theme === 'dark')
      document.documentElement.dataset.theme = chosen.theme;
    if (chosen.contrast === 'more') document.documentElement.dataset.contrast = 'more';
  } catch {
    // Storage that cannot be read leaves the system's theme.
  }
})();
