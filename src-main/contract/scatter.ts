import { z } from 'zod';
import { benchmarkNameSchema } from './results.ts';

/** What two subjects scored on the same items: how far a difference between others is likely to scatter. */
export const itemScatterSchema = z.object({
  benchmark: benchmarkNameSchema,
  first: z.string(),
  second: z.string(),
  items: z.number().int(),
  /** Score of the second less that of the first: a share of items, or nats per token. */
  difference: z.number(),
  /** Share of items that exactly one of them gets right; null for losses. */
  discordance: z.number().nullable(),
  /** Standard deviation of the losses' differences item by item, in nats; null for accuracy. */
  deviation: z.number().nullable(),
});
export type ItemScatter = z.infer<typeof itemScatterSchema>;

/** How far the difference between two settings of a study scatters from seed to seed. */
export const seedScatterSchema = z.object({
  study: z.string(),
  first: z.string(),
  second: z.string(),
  seeds: z.number().int(),
  /** In nats of held-out loss. */
  difference: z.number(),
  deviation: z.number(),
});
export type SeedScatter = z.infer<typeof seedScatterSchema>;

export const scatterSchema = z.object({
  items: z.array(itemScatterSchema),
  seeds: z.array(seedScatterSchema),
});
export type Scatter = z.infer<typeof scatterSchema>;
