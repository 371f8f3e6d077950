/**
 * A 31-bit seed for one purpose of a run, from the run's seed and a path of names and numbers (FNV-1a). Different
 * purposes get unrelated streams, and adding a purpose changes no other.
 */
export function seedFrom(seed: number, ...path: (string | number)[]): number {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from([seed, ...path].join('/'))) hash = Math.imul(hash ^ byte, 0x01000193);
  // One round of mixing: FNV's low bits depend too little on its last bytes.
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  return (hash ^ (hash >>> 13)) & 0x7fffffff;
}
