/** The card that the studio gave to this process, and the major number of its compute capability. */
export interface ChosenCard {
  name: string;
  capability: string;
  major: number;
}

/** Null: none was given; TensorFlow computes on what it finds. */
export function chosenCard(env: NodeJS.ProcessEnv = process.env): ChosenCard | null {
  const [, name, capability] = /^(.+), (\d+\.\d+)$/.exec(env['ID_LORA_STUDIO_CARD'] ?? '') ?? [];
  return name && capability ? { name, capability, major: Math.floor(Number(capability)) } : null;
}

/** Ampere and newer have units for bf16 matrices; older cards multiply f32 faster. */
export function multipliesBf16({ major }: ChosenCard): boolean {
  return major >= 8;
}

/** What somebody should know who waits for a first step; null: nothing. */
export function cardNote({ name, capability, major }: ChosenCard): string | null {
  return major >= 10
    ? `TensorFlow brings no kernels for ${name} (compute capability ${capability}): the driver compiles them at the first start, which takes minutes, and keeps them.`
    : null;
}
