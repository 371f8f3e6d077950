import { z } from 'zod';
import { nothing } from './inputs.ts';

/** Whether browsers can use the studio, and by which addresses. */
export const browserAccessSchema = z.object({
  serving: z
    .object({
      /** Address with the token, for this computer. */
      url: z.string(),
      /** The same for other computers. */
      otherUrls: z.array(z.string()),
      /** False where `serve` was called for nothing else. */
      canEnd: z.boolean(),
    })
    .nullable(),
});
export type BrowserAccess = z.infer<typeof browserAccessSchema>;

export const browserAccessProcedures = {
  'access.get': { input: nothing, output: browserAccessSchema },
  /** Lets browsers use the studio: of this computer only, or of every computer that reaches it. */
  'access.serve': {
    input: z.object({
      everywhere: z.boolean(),
      /** 0: any free port. */
      port: z.number().int().min(0).max(65535),
    }),
    output: browserAccessSchema,
  },
  'access.end': { input: nothing, output: browserAccessSchema },
} as const;
