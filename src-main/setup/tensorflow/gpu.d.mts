/** The NVIDIA GPU of this machine and whether the pinned TensorFlow can use it; name null: there is none. */
export function findGpu(): Promise<{ name: string | null; usable: boolean; reason: string }>;
