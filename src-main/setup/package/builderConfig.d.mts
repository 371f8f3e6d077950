interface Manifest {
  repository?: string | { url?: string };
  devDependencies: { electron: string };
}
/** Where releases are published and looked for: the repository's own, where package.json names one on GitHub. */
export function publishing(
  manifest: Pick<Manifest, 'repository'>,
): { provider: 'github'; owner: string; repo: string; releaseType: 'draft' }[] | null;
/** What electron-builder makes of what was staged. */
export function builderConfig(
  manifest: Manifest,
  staged: string,
  env: NodeJS.ProcessEnv,
): Record<string, unknown> & { electronFuses: Record<string, boolean>; electronVersion: string };
