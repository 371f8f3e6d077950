import { homedir } from 'node:os';
import { join } from 'node:path';

/** Where Hugging Face's own programs keep cache and token; the environment decides as it does for them. */

type Environment = Readonly<Record<string, string | undefined>>;

function hubHome(env: Environment): string {
  return env['HF_HOME'] || join(env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'huggingface');
}

/** The cache of model repositories, and the variable that names it. */
export function cacheFolder(env: Environment = process.env): { folder: string; setBy: string | null } {
  for (const name of ['HF_HUB_CACHE', 'HUGGINGFACE_HUB_CACHE'])
    if (env[name]) return { folder: env[name], setBy: name };
  const setBy = ['HF_HOME', 'XDG_CACHE_HOME'].find((name) => env[name]) ?? null;
  return { folder: join(hubHome(env), 'hub'), setBy };
}

/** The file in which `hf auth login` keeps its token. */
export function tokenFile(env: Environment = process.env): string {
  return env['HF_TOKEN_PATH'] || join(hubHome(env), 'token');
}
