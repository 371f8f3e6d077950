/** What set-up provides for all checkouts of this user: Node, TensorFlow, compiled bindings. */
export const runtimeFolder: string;
/** Pinned versions of what npm's lockfile does not cover. */
export const versions: { node: string; tensorflow: string; bindings: string };
/** Whether this is a packaged application. */
export const isPackaged: boolean;
/** The binding that is loaded: what set-up provided, or what an application brings. */
export const installedBinding: string;
/** Where a packaged application looks for newer versions: an address; null: nowhere. */
export const updateChannel: string | null;
/** How a shell calls the command line of an installation; null: nothing can be typed. */
export function commandCall(installed: {
  folder: string;
  isPackaged: boolean;
  platform: string;
  image: string | undefined;
}): string | null;
/** How the command line is called here. */
export const commandLine: string | null;
/** How TensorFlow is tried again, as the end of a sentence. */
export const repair: string;
