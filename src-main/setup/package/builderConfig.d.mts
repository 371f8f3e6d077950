interface Manifest {
  repository?: string | { url?: string };
  devDependencies: { electron: string };
}
type Published =
  | { provider: 'generic'; url: string }
  | { provider: 'github'; owner: string; repo: string; releaseType: 'draft' };
/** Where releases are published and looked for: where the environment says, else the repository's own on GitHub. */
export function publishing(
  manifest: Pick<Manifest, 'repository'>,
  env?: NodeJS.ProcessEnv,
): Published[] | null;
/** Where an application that is published so finds the list of the newest release, and the files beside it. */
export function updateFolder(published: Published[] | null): string | null;
/** What electron-builder makes of what was staged. */
export function builderConfig(
  manifest: Manifest,
  staged: string,
  env: NodeJS.ProcessEnv,
): Record<string, unknown> & { electronFuses: Record<string, boolean>; electronVersion: string };
