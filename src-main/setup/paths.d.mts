/** What set-up provides for all checkouts of this user: Node, TensorFlow, compiled bindings. */
export const runtimeFolder: string;
/** Pinned versions of what npm's lockfile does not cover. */
export const versions: { node: string; tensorflow: string; bindings: string };
/** Where tfjs-node-gpu looks for its binding: a link to that of the runtime folder, or what its own installer put. */
export const installedBinding: string;
