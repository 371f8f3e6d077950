import { z } from 'zod';

// Long lists come in slices, newest first: a page shows the first one at once, and the core answers others between two
// of them.

/**
 * A place in a list. What comes into the list while slices of it are read is newer, so that none is lost or doubled.
 */
export const listPlaceSchema = z.object({
  /** Another may be opened between two slices: all slices of a list are of one. */
  project: z.string(),
  createdAt: z.string(),
  row: z.number().int(),
});
export type ListPlace = z.infer<typeof listPlaceSchema>;

/** Entries of a list that are older than a place; null: the newest of the open project. */
export const sliceRequestSchema = z.object({
  after: listPlaceSchema.nullable().default(null),
  limit: z.number().int().min(1).max(1000).default(200),
});
export type SliceRequest = z.infer<typeof sliceRequestSchema>;

/** Some entries, newest first. */
export interface ListSlice<T> {
  entries: T[];
  /** Entries of the whole list. */
  total: number;
  /** Where the next slice begins; null: these were the oldest. */
  next: ListPlace | null;
}

export function sliceSchema<T extends z.ZodType>(entry: T) {
  return z.object({
    entries: z.array(entry),
    total: z.number().int(),
    next: listPlaceSchema.nullable(),
  });
}
