import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

export interface StudioFolder {
  /** Holds src-main, node_modules and resources. */
  folder: string;
  /** Program of Node 24. */
  node: string;
  isPackaged: boolean;
}

/**
 * Where what Node runs lies: in an application beside the archive of the shell, since Node reads no archives; else in
 * the checkout.
 * @param built the checkout's out/
 * @param resources the resources of Electron, where an application has its own
 */
export function findStudio(built: string, resources: string, env: NodeJS.ProcessEnv): StudioFolder {
  const packaged = join(resources, 'studio');
  const manifest = join(packaged, 'packaged.json');
  if (!existsSync(manifest))
    return { folder: dirname(built), node: env['ID_LORA_STUDIO_NODE'] ?? 'node', isPackaged: false };
  const { node } = JSON.parse(readFileSync(manifest, 'utf8')) as { node: string };
  return { folder: packaged, node: join(packaged, node), isPackaged: true };
}

/** What core and engine keep from start to start where no set-up says where: compiled sources, measured products. */
export function keptBeside(folder: string): NodeJS.ProcessEnv {
  return {
    NODE_COMPILE_CACHE: join(folder, 'compile-cache'),
    ID_LORA_STUDIO_MEASURED: join(folder, 'measured'),
  };
}
