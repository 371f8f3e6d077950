/** Files and folders that the page and the shell are built from, from the project's folder. */
export const pageSources: readonly string[];
