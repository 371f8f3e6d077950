/** Pinned versions of what npm's lockfile does not cover. */
export const versions: { node: string; tensorflow: string; bindings: string };
