import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectFolder } from '../paths.mjs';
import { SetupError } from '../report.mjs';

/**
 * Where releases are published and looked for: the folder of a web server that ID_LORA_STUDIO_UPDATES names, else the
 * repository's own releases, where package.json names one on GitHub.
 * @param {{repository?: string | {url?: string}}} manifest
 * @param {NodeJS.ProcessEnv} env
 * @returns {({provider: 'generic', url: string} |
 *   {provider: 'github', owner: string, repo: string, releaseType: 'draft'})[] | null}
 * @throws {SetupError} where the variable has no address that can be trusted
 */
export function publishing(manifest, env = {}) {
  if (env.ID_LORA_STUDIO_UPDATES)
    return [{ provider: 'generic', url: updateAddress(env.ID_LORA_STUDIO_UPDATES) }];
  const address = typeof manifest.repository === 'string' ? manifest.repository : manifest.repository?.url;
  const [, owner, repo] = /github(?:\.com[/:]|:)([\w.-]+)\/([\w.-]+?)(?:\.git)?$/.exec(address ?? '') ?? [];
  return owner ? [{ provider: 'github', owner, repo, releaseType: 'draft' }] : null;
}

/** Who can change an unencrypted answer could send people anywhere; to one's own machine there is no way between. */
function updateAddress(given) {
  const address = URL.canParse(given) ? new URL(given) : null;
  const isOwn = address?.protocol === 'http:' && /^(localhost|127\.0\.0\.1|\[::1\])$/.test(address.hostname);
  // Behind a question mark nothing could be appended, and who signs in would be kept in the application.
  const isFolder = address && !address.search && !address.hash && !address.username && !address.password;
  if (isFolder && (address.protocol === 'https:' || isOwn)) return address.href;
  throw new SetupError(
    `ID_LORA_STUDIO_UPDATES is "${given}", which is no https address of a folder.`,
    'Give the folder of a web server in which the releases will lie: https://HOST/FOLDER/',
  );
}

/** Where an application that is published so finds the list of the newest release, and the files beside it. */
export function updateFolder(published) {
  const [first] = published ?? [];
  if (!first) return null;
  return first.provider === 'generic'
    ? first.url
    : `https://github.com/${first.owner}/${first.repo}/releases/latest/download/`;
}

/** An Electron that is there already, instead of the pinned one: for machines that cannot fetch it. */
function ownElectron(folder) {
  const file = join(folder, 'version');
  // One that was taken out of another application does not say; it is what the tests have.
  const version = existsSync(file) ? readFileSync(file, 'utf8').trim().replace(/^v/, '') : '22.3.25';
  return { electronVersion: version, electronDist: folder };
}

/**
 * Switches inside Electron's program, which nobody can turn back without breaking its signature: it is no Node for
 * others, takes no options of Node or a debugger, and runs nothing but the archive it was signed with.
 */
const fuses = {
  runAsNode: false,
  // The window keeps no cookie, and encryption would ask for the keyring at the first start.
  enableCookieEncryption: false,
  enableNodeOptionsEnvironmentVariable: false,
  enableNodeCliInspectArguments: false,
  enableEmbeddedAsarIntegrityValidation: true,
  onlyLoadAppFromAsar: true,
  loadBrowserProcessSpecificV8Snapshot: false,
  // The page comes by a protocol of its own.
  grantFileProtocolExtraPrivileges: false,
};

/**
 * What electron-builder makes of what was staged: the shell in an archive, and beside it what Node runs.
 * @param {object} manifest the studio's package.json
 * @param {string} staged as stageApplication filled it
 * @param {NodeJS.ProcessEnv} env ELECTRON_DIR: an Electron that is there already, instead of the pinned one;
 *   ID_LORA_STUDIO_UPDATES: where newer versions will lie
 */
export function builderConfig(manifest, staged, env) {
  const own = (...path) => join(projectFolder, ...path);
  const icon = own('resources', 'icons', 'icon.png');
  const entitlements = own('src-main', 'setup', 'package', 'entitlements.plist');
  const electron = env.ELECTRON_DIR
    ? ownElectron(env.ELECTRON_DIR)
    : { electronVersion: manifest.devDependencies.electron };
  const { grantFileProtocolExtraPrivileges, ...oldFuses } = fuses;
  const hasAllFuses = Number(electron.electronVersion.split('.')[0]) >= 29;
  return {
    appId: 'studio.id-lora.desktop',
    productName: 'ID-LoRA Studio',
    copyright: 'Apache-2.0',
    directories: { output: own('dist', 'packages'), buildResources: own('resources', 'icons') },
    ...electron,
    asar: true,
    // What the shell is built from holds everything: it has no packages of its own.
    npmRebuild: false,
    files: ['**/*', '!node_modules/**'],
    extraResources: [
      { from: join(staged, 'studio'), to: 'studio', filter: ['**/*'] },
      // The builder leaves out modules that are not named themselves.
      { from: join(staged, 'studio', 'node_modules'), to: 'studio/node_modules', filter: ['**/*'] },
    ],
    electronFuses: hasAllFuses ? { ...oldFuses, grantFileProtocolExtraPrivileges } : oldFuses,
    electronLanguages: ['en-US'],
    publish: publishing(manifest, env),
    artifactName: '${name}-${version}-${os}-${arch}.${ext}',
    linux: {
      target: ['AppImage', 'deb'],
      category: 'Science',
      executableName: 'id-lora-studio',
      icon,
      synopsis: 'Fine-tune language models with adapters',
      maintainer: 'ID-LoRA Studio',
    },
    deb: {
      // Bubblewrap is the sandbox of generated code; pip fetches TensorFlow.
      recommends: ['bubblewrap', 'python3-pip'],
    },
    win: { target: ['nsis'], icon },
    nsis: { oneClick: false, perMachine: false, allowToChangeInstallationDirectory: true },
    mac: {
      target: ['dmg'],
      icon,
      category: 'public.app-category.developer-tools',
      hardenedRuntime: true,
      // Node, TensorFlow and bindings come from elsewhere and are not signed by us.
      entitlements,
      entitlementsInherit: entitlements,
    },
  };
}
