import { spawn } from 'node:child_process';
import { delimiter, dirname, join } from 'node:path';
import { modulesFolder, runtimeFolder } from './paths.mjs';
import { withProxy } from './surroundings/proxy.mjs';

/**
 * Environment in which `node` is the provided one and the packages' programs are found. Node keeps what it made of the
 * sources (types stripped, compiled): the core, each engine and each command would do it again, half a second each.
 */
export function studioEnvironment(node) {
  const path = [dirname(node), join(modulesFolder, '.bin'), process.env.PATH].join(delimiter);
  const kept = process.env.NODE_COMPILE_CACHE ?? join(runtimeFolder, 'compile-cache');
  return {
    ...withProxy(process.env),
    PATH: path,
    ID_LORA_STUDIO_NODE: node,
    NODE_COMPILE_CACHE: kept,
    // What engines measured of this machine, and what they compiled for it.
    ID_LORA_STUDIO_MEASURED: process.env.ID_LORA_STUDIO_MEASURED ?? join(runtimeFolder, 'measured'),
    ID_LORA_STUDIO_COMPILED: process.env.ID_LORA_STUDIO_COMPILED ?? join(runtimeFolder, 'compiled'),
  };
}

/**
 * Runs a program in place of this process: same terminal, signals passed on.
 * @returns {Promise<number>} its exit code; 128 + n after signal n
 */
export function launch(program, args, env) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: 'inherit', env });
    const forward = (signal) => child.kill(signal);
    // A terminal sends Ctrl+C to the whole group: here it must only not end us before the child.
    process.on('SIGINT', () => process.stdin.isTTY || forward('SIGINT'));
    process.on('SIGTERM', () => forward('SIGTERM'));
    process.on('SIGHUP', () => forward('SIGHUP'));
    child.on('error', reject);
    child.on('close', (code, signal) =>
      resolve(code ?? 128 + ({ SIGINT: 2, SIGKILL: 9, SIGTERM: 15 }[signal] ?? 1)),
    );
  });
}
