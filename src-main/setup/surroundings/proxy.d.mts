/** The proxy for what is fetched, without a password, or null. */
export function proxyInUse(env?: NodeJS.ProcessEnv): string | null;
/** An environment in which all that fetches uses the proxy that one of them was told. */
export function withProxy(env?: NodeJS.ProcessEnv): NodeJS.ProcessEnv;
