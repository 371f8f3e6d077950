import { z } from 'zod';
import { precisionSchema } from '../training.ts';
import { comparisonSchema, mostTogether, type ComparedTogether, type Comparison } from './comparison.ts';
import { evaluationInput, reference, scoringInput } from '../inputs.ts';
import { trainConfigSchema } from '../training.ts';

/** What would settle a comparison that is open, and what it would take here. */

export const settlingSchema = z.object({
  /** More items of the same data, further seeds of both, or neither: the sentence says why. */
  step: z.enum(['items', 'seeds', 'none']),
  sentence: z.string(),
  /** Items that show a difference as it was seen in 4 of 5 cases; null: none do, or it is not known. */
  neededItems: z.number().int().nullable(),
  /** Items that the data hold; null: not known. */
  availableItems: z.number().int().nullable(),
  /** Seeds of each that would show it; null: not known, or not asked for. */
  neededSeeds: z.number().int().nullable(),
  /** What the step takes here, from what the same took before; null: nothing like it was measured. */
  seconds: z.number().nullable(),
  /** What is to be scored, as `evaluations.start` takes it; empty unless the step is more items. */
  evaluations: z.array(evaluationInput),
  /** What is to be trained, as `runs.start` takes it; empty unless the step is further seeds. */
  runs: z.array(
    z.object({
      name: z.string(),
      model: reference,
      dataset: reference,
      config: trainConfigSchema,
      from: z.object({ run: reference, step: z.number().int() }).optional(),
    }),
  ),
  /** Further seeds that are scored, of the first and then of the second: those runs, and others that are there. */
  scores: z.array(z.object({ run: reference, precision: precisionSchema })),
  /** By what they are scored when they are trained; null: none are. */
  afterwards: scoringInput.nullable(),
});
export type Settling = z.infer<typeof settlingSchema>;

export const settlingProcedures = {
  /** Plans the next step; runs nothing. */
  'evaluations.settle': {
    input: z.object({
      comparison: comparisonSchema,
      /** The evaluations of the first and of the second of its pair: several where runs differ by their seed alone. */
      a: z.array(reference).min(1).max(100),
      b: z.array(reference).min(1).max(100),
    }),
    output: settlingSchema,
  },
} as const;

/** The evaluations of both sides of a pair, by their places among those that were compared. */
export function sidesOf(
  { ranking }: Pick<ComparedTogether, 'ranking'>,
  { a, b }: Pick<Comparison, 'a' | 'b'>,
  evaluations: readonly { id: string }[],
): { a: string[]; b: string[] } {
  const idsOf = (name: string) =>
    ranking.subjects
      .filter((subject) => subject.name === name)
      .flatMap(({ members }) => members.flatMap((place) => evaluations[place]?.id ?? []));
  return { a: idsOf(a), b: idsOf(b) };
}

/** The compared scores and those of further seeds, as many as can be compared at once: of each seed all, or none. */
export function withFurtherSeeds(
  compared: readonly string[],
  made: readonly { id: string; seed: number }[],
): string[] {
  let together = [...compared];
  for (const seed of [...new Set(made.map((one) => one.seed))].sort((a, b) => a - b)) {
    const ofSeed = made.filter((one) => one.seed === seed).map(({ id }) => id);
    if (together.length + ofSeed.length > mostTogether) break;
    together = together.concat(ofSeed);
  }
  return together;
}
