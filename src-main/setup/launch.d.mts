/** Environment in which `node` is the provided one and the packages' programs are found. */
export function studioEnvironment(node: string): NodeJS.ProcessEnv;
