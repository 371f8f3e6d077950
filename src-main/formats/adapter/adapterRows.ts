/** The frozen rows A_i of ID-LoRA beside the indices S that name them (IdLoraConfig.embed_pivots of our package). */
export const rowsSuffix = '.idlora_A.weight';
export const indicesSuffix = '.idlora_pivots';

/** The modules whose rows an adapter names. @param keys its tensors by canonical name */
export function modulesWithRows(keys: ReadonlyMap<string, string>): string[] {
  return [...keys.keys()].flatMap((name) =>
    name.endsWith(indicesSuffix) ? [name.slice(0, -indicesSuffix.length)] : [],
  );
}

/** Whether an adapter stores the rows of every module, not their indices alone. */
export function storesRows(keys: ReadonlyMap<string, string>): boolean {
  const modules = modulesWithRows(keys);
  return modules.length > 0 && modules.every((path) => keys.has(`${path}${rowsSuffix}`));
}
