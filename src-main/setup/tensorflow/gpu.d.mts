/**
 * The NVIDIA GPU of this machine and whether the pinned TensorFlow can use it; name null: there is none. remedy: what
 * would make it usable, where that is known.
 */
export function findGpu(): Promise<Gpu>;

/** The same of a card that is described as `name, compute capability, driver`. */
export function describeGpu(line: string): Gpu;

interface Gpu {
  name: string | null;
  usable: boolean;
  reason: string;
  remedy: string | null;
}

/** The wheel that the binding loads, or null where the package's own installer brought it. */
export function installedWheel(): Wheel | null;

interface Wheel {
  kind: 'cpu' | 'gpu';
  /** Folder of the unpacked wheel. */
  library: string;
}

/**
 * Why TensorFlow found no device though there is one for it.
 * @param wheel what is installed (installedWheel)
 * @param log what TensorFlow printed as it looked
 * @param opens whether a library of the driver can be opened; tests give their own
 */
export function whyUnused(
  wheel: Wheel | null,
  log: readonly string[],
  opens?: (name: string) => Promise<boolean>,
): Promise<{ reason: string; remedy: string; repairable: boolean }>;
