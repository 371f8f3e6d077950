import { z } from 'zod';
import { modelSchema } from './entities.ts';
import { entryName, nothing, reference, repository } from './inputs.ts';
import {
  downloadSchema,
  hubModelSchema,
  hubPreviewSchema,
  hubStatusSchema,
  modelCacheSchema,
  modelCardSchema,
  modelRemovalSchema,
  modelStorageSchema,
  tensorHistogramSchema,
  tensorSchema,
  tokenPieceSchema,
} from './modelLibrary.ts';

/** Calls about models: the library, downloads, the Hub. */
export const modelProcedures = {
  'models.list': { input: nothing, output: z.array(modelSchema) },
  'models.get': { input: z.object({ model: reference }), output: modelSchema },
  'models.add': {
    input: z.object({ folder: z.string(), name: entryName.optional(), copy: z.boolean().default(false) }),
    output: modelSchema,
  },
  /** Snapshots in the Hugging Face cache, which may be added in place. */
  'models.cache': { input: nothing, output: modelCacheSchema },
  'models.card': { input: z.object({ model: reference }), output: modelCardSchema },
  'models.tokenize': {
    input: z.object({
      model: reference,
      text: z.string().max(10_000),
      /** Adds what the tokenizer puts around a text, usually a token at its begin. */
      specialTokens: z.boolean().default(true),
    }),
    output: z.array(tokenPieceSchema),
  },
  /** The weights by name. */
  'models.tensors': { input: z.object({ model: reference }), output: z.array(tensorSchema) },
  'models.histogram': {
    input: z.object({ model: reference, tensor: z.string().min(1).max(500) }),
    output: tensorHistogramSchema,
  },
  'models.storage': { input: nothing, output: modelStorageSchema },
  /** What removing the model would delete and keep. */
  'models.removal': { input: z.object({ model: reference }), output: modelRemovalSchema },
  /** Downloads that run or were left unfinished, newest first. */
  'models.downloads': { input: nothing, output: z.array(downloadSchema) },
  /** Begins a download, or goes on with an unfinished one of the same commit; returns when it is under way. */
  'models.download': {
    input: z.object({ repository, revision: z.string().max(200).optional(), name: entryName.optional() }),
    output: downloadSchema,
  },
  /** Stops it; what is there is kept. */
  'models.cancelDownload': { input: z.object({ download: reference }), output: downloadSchema },
  'models.resumeDownload': { input: z.object({ download: reference }), output: downloadSchema },
  /** Deletes what is there of it. */
  'models.discardDownload': { input: z.object({ download: reference }), output: nothing },
  /** Brings back what was removed less than a minute ago, by its id. */
  'models.restore': { input: z.object({ model: z.string().min(1) }), output: modelSchema },
  'models.remove': { input: z.object({ model: reference }), output: nothing },

  /** Asks nothing of the Hub. */
  'hub.status': { input: nothing, output: hubStatusSchema },
  /** Keeps an access token in the data folder, for its owner alone; null forgets it. It is never given out again. */
  'hub.setToken': { input: z.object({ token: z.string().max(500).nullable() }), output: hubStatusSchema },
  'hub.search': {
    input: z.object({
      query: z.string().min(1).max(200),
      limit: z.number().int().min(1).max(50).default(20),
    }),
    output: z.array(hubModelSchema),
  },
  'hub.preview': {
    input: z.object({ repository, revision: z.string().max(200).optional() }),
    output: hubPreviewSchema,
  },
} as const;
