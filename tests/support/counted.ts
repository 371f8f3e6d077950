/**
 * An object that counts how often its properties are read: a measure of work that is the same on every machine.
 *
 * @returns the object to hand over, and the reads so far
 */
export function counted<T extends object>(object: T): { object: T; reads: () => number } {
  let reads = 0;
  return {
    object: new Proxy(object, {
      get(target, key, receiver) {
        reads++;
        return Reflect.get(target, key, receiver) as unknown;
      },
    }),
    reads: () => reads,
  };
}
