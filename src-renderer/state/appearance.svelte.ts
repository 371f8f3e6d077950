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

/** Whether the system asks for something now, and from now on. */
function followSystem(query: string): { readonly holds: boolean } {
  const media = window.matchMedia(query);
  let holds = $state(media.matches);
  media.addEventListener('change', ({ matches }) => (holds = matches));
  return {
    get holds() {
      return holds;
    },
  };
}

const systemDark = followSystem('(prefers-color-scheme: dark)');
const systemContrast = followSystem('(prefers-contrast: more)');

export function isDark(): boolean {
  return appearance.theme === 'system' ? systemDark.holds : appearance.theme === 'dark';
}

export function isHighContrast(): boolean {
  return appearance.contrast === 'more' || systemContrast.holds;
}

$effect.root(() => {
  $effect(() => {
    const { dataset } = document.documentElement;
    dataset['theme'] = isDark() ? 'dark' : 'light';
    if (isHighContrast()) dataset['contrast'] = 'more';
    else delete dataset['contrast'];
  });
});
