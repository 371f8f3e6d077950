import { expect, it } from 'vitest';
import { proxyInUse, withProxy } from '../../src-main/setup/surroundings/proxy.mjs';

it('leaves an environment without a proxy as it is', () => {
  const env = { PATH: '/usr/bin', https_proxy: '', npm_config_noproxy: '' };
  expect(withProxy(env)).toBe(env);
  expect(proxyInUse(env)).toBeNull();
});

it("tells pip, Node and Electron's installer of the proxy that npm was told, and keeps this machine out of it", () => {
  const env = withProxy({
    npm_config_https_proxy: 'http://me:secret@proxy.example:3128',
    npm_config_noproxy: 'intra',
  });
  expect(env).toMatchObject({
    HTTPS_PROXY: 'http://me:secret@proxy.example:3128',
    https_proxy: 'http://me:secret@proxy.example:3128',
    NO_PROXY: 'intra,localhost,127.0.0.1,::1',
    no_proxy: 'intra,localhost,127.0.0.1,::1',
    NODE_USE_ENV_PROXY: '1',
    ELECTRON_GET_USE_PROXY: '1',
  });
  expect(env['HTTP_PROXY']).toBeUndefined();
});

it('takes the environment before the settings of npm, and names it without a password', () => {
  const env = {
    https_proxy: 'http://me:secret@proxy.example:3128',
    npm_config_proxy: 'http://other.example:1',
    no_proxy: 'localhost',
  };
  expect(withProxy(env)).toMatchObject({
    HTTPS_PROXY: env.https_proxy,
    HTTP_PROXY: 'http://other.example:1',
    NO_PROXY: 'localhost,127.0.0.1,::1',
  });
  expect(proxyInUse(env)).toBe('http://proxy.example:3128');
});
