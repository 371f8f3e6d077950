import '@fontsource-variable/inter/wght.css';
import '@fontsource-variable/jetbrains-mono/wght.css';
import './tokens.css';
import './base.css';
import { mount } from 'svelte';
import { z } from 'zod';
import type { ShellBridge } from '../src-main/contract/shellBridge.ts';
import App from './App.svelte';
import { createClient } from './rpc/client.ts';
import { createHttpTransport } from './rpc/httpTransport.ts';
import { createShellTransport } from './rpc/shellTransport.ts';
import { navigate } from './state/router.svelte.ts';

declare global {
  interface Window {
    /** Present in the desktop shell only (its preload script). */
    studioShell?: ShellBridge;
  }
}

// Compiled schemas need eval, which the content security policy forbids.
z.config({ jitless: true });

window.studioShell?.onNavigate((href) => navigate(href));

const transport = window.studioShell
  ? createShellTransport(window.studioShell)
  : createHttpTransport(location.origin);

mount(App, { target: document.querySelector('#app')!, props: { client: createClient(transport) } });
