import type { BrowserAccess } from '../contract/browserAccess.ts';
import { StudioError } from '../contract/errors.ts';
import type { Core } from './createCore.ts';
import type { HttpHost } from './httpHost.ts';

/** The one server by which browsers use a core. */
export interface BrowserServer {
  state(): BrowserAccess;
  /**
   * @param options.port 0: one that is free
   * @param options.canEnd whether a page may end it
   * @throws StudioError usage where it serves already, or cannot listen there
   */
  serve(options: { host: string; port: number; canEnd: boolean }): Promise<BrowserAccess>;
  /** Ends it and cuts all browsers off. */
  end(): Promise<BrowserAccess>;
  /** The same, where a page asks for it. @throws StudioError usage where it may not */
  endForPage(): Promise<BrowserAccess>;
}

export function createBrowserServer(core: () => Core): BrowserServer {
  let serving: { host: Promise<HttpHost>; access: BrowserAccess['serving'] } | null = null;

  const state = (): BrowserAccess => ({ serving: serving?.access ?? null });

  async function end(): Promise<BrowserAccess> {
    const ended = serving;
    serving = null;
    await ended?.host.then(
      (host) => host.close(),
      () => undefined,
    );
    return state();
  }

  return {
    state,
    end,
    async endForPage() {
      if (serving?.access?.canEnd === false)
        throw new StudioError(
          'usage',
          'The studio was started to serve browsers, and ends with its command.',
          'Press Ctrl+C where serve runs.',
        );
      return end();
    },
    async serve({ canEnd, ...place }) {
      if (serving)
        throw new StudioError(
          'usage',
          'Browsers can use the studio already.',
          'End that first, or use its address.',
        );
      // Only who serves loads what it needs.
      const host = import('./httpHost.ts').then(({ startHttpHost }) => startHttpHost(core(), place));
      const begun = { host, access: null as BrowserAccess['serving'] };
      serving = begun;
      try {
        const { url, otherUrls } = await host;
        begun.access = { url, otherUrls: [...otherUrls], canEnd };
      } catch (error) {
        serving = null;
        throw error;
      }
      return state();
    },
  };
}
