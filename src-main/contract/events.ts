import { z } from 'zod';
import { queueSchema, runSchema } from './entities.ts';
import { chatSchema, chatTextSchema } from './evaluation/chat.ts';
import { scoringQueueSchema } from './evaluation/scoring.ts';
import { evaluationSchema } from './results.ts';
import { evalMetricSchema, logLineSchema, sampleSchema, stepMetricSchema } from './runRecords.ts';

/**
 * How far anything is that takes more than a second; `total` and `secondsLeft` null where unknown. A part that is
 * complete is not the end of its task: `progress.ended` is.
 */
export const progressEventSchema = z.object({
  type: z.literal('progress'),
  task: z.string(),
  /** Which part of the task this is. */
  label: z.string(),
  done: z.number(),
  total: z.number().nullable(),
  secondsLeft: z.number().nullish(),
  /** What `done` and `total` count, where it is not in the label. */
  unit: z.literal('bytes').optional(),
  /** What of the queue is scored by it; absent: the task is no part of the queue. */
  entry: z.string().optional(),
});
export type ProgressEvent = z.infer<typeof progressEventSchema>;

/** What the core tells everybody who listens, in one ordered stream. */
export const studioEventSchema = z.discriminatedUnion('type', [
  /** A run was created or its state changed. */
  z.object({ type: z.literal('run'), run: runSchema }),
  z.object({ type: z.literal('run.removed'), runId: z.string() }),
  z.object({ type: z.literal('queue'), queue: queueSchema }),
  /** Steps of a running run, batched. */
  z.object({ type: z.literal('run.steps'), runId: z.string(), steps: z.array(stepMetricSchema) }),
  z.object({ type: z.literal('run.eval'), runId: z.string(), metric: evalMetricSchema }),
  z.object({ type: z.literal('run.samples'), runId: z.string(), samples: z.array(sampleSchema) }),
  z.object({ type: z.literal('run.router'), runId: z.string(), step: z.number().int() }),
  /** New lines of a run's log. */
  z.object({ type: z.literal('run.log'), runId: z.string(), lines: z.array(logLineSchema) }),
  /** A project was made or changed. */
  z.object({ type: z.literal('projects.changed') }),
  /** Another project is open now: runs and evaluations are those of this one. */
  z.object({ type: z.literal('project.opened'), project: z.string() }),
  z.object({ type: z.literal('models.changed') }),
  /** A download began, ended or changed its state; its bytes come as `progress` of the task `download <id>`. */
  z.object({ type: z.literal('downloads.changed') }),
  z.object({ type: z.literal('datasets.changed') }),
  /** A mix was made, changed, removed or brought back. */
  z.object({ type: z.literal('mixes.changed') }),
  /** A study was made, removed or brought back; how its runs fare comes as `run`. */
  z.object({ type: z.literal('studies.changed') }),
  z.object({ type: z.literal('evaluation'), evaluation: evaluationSchema }),
  /** What is scored, or waits for it, has changed. */
  z.object({ type: z.literal('scoring'), queue: scoringQueueSchema }),
  /** A chat began, was asked, has answered or ended (null). */
  z.object({ type: z.literal('chat'), chat: chatSchema.nullable() }),
  chatTextSchema,
  z.object({ type: z.literal('exports.changed') }),
  progressEventSchema,
  /** The task is over, whether it was done or not. */
  z.object({ type: z.literal('progress.ended'), task: z.string() }),
]);
export type StudioEvent = z.infer<typeof studioEventSchema>;

/**
 * An event with its place in the stream. `epoch` changes when the core restarts; a client that sees a gap in
 * `sequence` or a new epoch reloads its lists and curves.
 */
export const sequencedEventSchema = z.object({
  epoch: z.string(),
  sequence: z.number().int(),
  event: studioEventSchema,
});
export type SequencedEvent = z.infer<typeof sequencedEventSchema>;
