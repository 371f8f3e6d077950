import { fileURLToPath } from 'node:url';
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'electron-vite';
import type { Plugin } from 'vite';

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));

/** Deep links need absolute addresses of scripts and fonts; electron-vite's preset sets relative ones. */
const absoluteBase: Plugin = { name: 'absolute-base', enforce: 'post', config: () => ({ base: '/' }) };

/**
 * Shell and preload are CommonJS so that Electron 22 (Node 16) can start them too, and because a sandboxed preload must
 * be one plain script; the page is built for its Chromium 108.
 */
function nodeSide(name: string, entry: string) {
  return {
    build: {
      target: 'node16',
      // Dependencies do not exist beside the built file: everything but Electron goes in.
      externalizeDeps: false,
      outDir: path(`out/${name}`),
      rolldownOptions: {
        input: { [name]: path(entry) },
        output: { format: 'cjs' as const, entryFileNames: '[name].cjs' },
      },
    },
  };
}

export default defineConfig({
  main: nodeSide('main', 'src-main/shell/main.ts'),
  preload: nodeSide('preload', 'src-main/shell/preload.ts'),
  renderer: {
    root: path('src-renderer'),
    plugins: [svelte({ configFile: false, compilerOptions: { runes: true } }), absoluteBase],
    build: {
      target: 'chrome108',
      cssTarget: 'chrome108',
      outDir: path('out/renderer'),
      minify: true,
      // Fonts stay files: the content security policy allows none inside style sheets.
      assetsInlineLimit: 0,
      chunkSizeWarningLimit: 1500,
      rolldownOptions: { input: path('src-renderer/index.html') },
    },
  },
});
