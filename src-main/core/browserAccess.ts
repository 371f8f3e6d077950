import type { BrowserAccess } from '../contract/browserAccess.ts';
import { StudioError } from '../contract/errors.ts';
import type { ProcedureHandlers } from '../contract/procedures.ts';
import type { ServedCore } from './channelHost.ts';
import type { HttpHost } from './httpHost.ts';
import type { ServedPlace } from './serverAccess.ts';

/** The one server by which browsers use a core. */
export interface BrowserServer {
  state(): BrowserAccess;
  /**
   * @param options.canEnd whether a page may end it
   * @throws StudioError busy where it serves already; usage where it cannot listen there
   */
  serve(options: ServedPlace & { canEnd: boolean }): Promise<BrowserAccess>;
  /** Ends it and cuts all browsers off. */
  end(): Promise<BrowserAccess>;
  /** The same, where a page asks for it. @throws StudioError in_use where it may not */
  endForPage(): Promise<BrowserAccess>;
}

export function createBrowserServer(core: () => ServedCore): BrowserServer {
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
          'in_use',
          'The studio was started to serve browsers, and ends with its command.',
          'Press Ctrl+C where serve runs.',
        );
      return end();
    },
    async serve({ canEnd, ...place }) {
      if (serving)
        throw new StudioError(
          'busy',
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

/** What callers ask of them. */
export const browserHandlers = (browsers: BrowserServer) =>
  ({
    'access.get': () => browsers.state(),
    'access.serve': ({ everywhere, port }) =>
      browsers.serve({ host: everywhere ? '0.0.0.0' : '127.0.0.1', port, canEnd: true }),
    'access.end': () => browsers.endForPage(),
  }) satisfies Partial<ProcedureHandlers>;
