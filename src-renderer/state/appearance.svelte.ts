import { stored } from './stored.svelte.ts';

export interface Appearance {
  theme: 'system' | 'light' | 'dark';
  contrast: 'system' | 'more';
}

/** Read by public/theme.js too, before the first paint. */
export const appearance = stored<Appearance>('studio.appearance', (saved) => ({
  theme: 'system',
  contrast: 'system',
  ...saved,
}));

const systemDark = window.matchMedia('(prefers-color-scheme: dark)');
let systemIsDark = $state(systemDark.matches);
systemDark.addEventListener('change', ({ matches }) => (systemIsDark = matches));

export function isDark(): boolean {
  return appearance.theme === 'system' ? systemIsDark : appearance.theme === 'dark';
}

$effect.root(() => {
  $effect(() => {
    const { dataset } = document.documentElement;
    if (appearance.theme === 'system') delete dataset['theme'];
    else dataset['theme'] = appearance.theme;
    if (appearance.contrast === 'system') delete dataset['contrast'];
    else dataset['contrast'] = appearance.contrast;
  });
});
