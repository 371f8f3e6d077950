/** Where a proxy's address may stand, in the order in which npm and pip look: npm passes its own settings on. */
const names = {
  HTTPS_PROXY: ['HTTPS_PROXY', 'https_proxy', 'npm_config_https_proxy', 'npm_config_proxy'],
  HTTP_PROXY: ['HTTP_PROXY', 'http_proxy', 'npm_config_proxy'],
  NO_PROXY: ['NO_PROXY', 'no_proxy', 'npm_config_noproxy'],
};
/** Addresses of this machine: the studio talks to itself, which no proxy can pass on. */
const own = ['localhost', '127.0.0.1', '::1'];

const valueOf = (name, env) =>
  names[name].map((key) => env[key]).find((value) => value !== undefined && value !== '' && value !== 'null');

/** The proxy for what is fetched, without a password, or null. */
export function proxyInUse(env = process.env) {
  const address = valueOf('HTTPS_PROXY', env);
  return address === undefined ? null : address.replace(/\/\/[^@/]*@/, '//');
}

/**
 * An environment in which all that fetches uses the proxy that one of them was told: pip and installers know nothing of
 * npm's settings, and Node's own `fetch` and Electron's installer use a proxy only when they are asked to.
 * @param {NodeJS.ProcessEnv} env
 * @returns {NodeJS.ProcessEnv}
 */
export function withProxy(env = process.env) {
  if (proxyInUse(env) === null) return env;
  const exempt = (valueOf('NO_PROXY', env) ?? '').split(',').filter((name) => name.trim() !== '');
  const found = {
    HTTPS_PROXY: valueOf('HTTPS_PROXY', env),
    HTTP_PROXY: valueOf('HTTP_PROXY', env),
    NO_PROXY: [...exempt, ...own.filter((name) => !exempt.includes(name))].join(','),
  };
  const both = Object.entries(found)
    .filter(([, value]) => value !== undefined)
    .flatMap(([name, value]) => [
      [name, value],
      [name.toLowerCase(), value],
    ]);
  return { ...env, ...Object.fromEntries(both), NODE_USE_ENV_PROXY: '1', ELECTRON_GET_USE_PROXY: '1' };
}
