/** Libraries that TensorFlow would not find when it looks for GPUs. @param library folder of the unpacked wheel */
export function missingLibraries(library: string): string[];
/** Makes TensorFlow find those that are there. @param library folder of the unpacked wheel */
export function linkLibraries(library: string): void;
/** The pinned packages: requirements of pip. */
export const cudaPackages: readonly string[];
