interface Linker {
  /** Name of TensorFlow's library: part `cc` or `framework`. */
  file(part: string): string;
  suffix: string;
  origin: string;
  options: string[];
}
/** The wheel whose libraries the binding is compiled against; null: the package's own installer serves. */
export function wheelFor(
  kind: 'cpu' | 'gpu',
  platform?: string,
): { package: string; bytes: number; sha256: string; platforms: string[]; linker: Linker } | null;
