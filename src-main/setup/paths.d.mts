/** What set-up provides for all checkouts of this user: Node, TensorFlow, compiled bindings. */
export const runtimeFolder: string;
/** Pinned versions of what npm's lockfile does not cover. */
export const versions: { node: string; tensorflow: string; bindings: string };
/** Whether this is a packaged application. */
export const isPackaged: boolean;
/** The binding that is loaded: what set-up provided, or what an application brings. */
export const installedBinding: string;
