import { benchmarkInfoSchema, benchmarkNameSchema } from './evaluation/benchmarks.ts';
import { z } from 'zod';
import {
  checkpointSchema,
  datasetSchema,
  modelSchema,
  projectSchema,
  queueSchema,
  runSchema,
  trainAtOnceSchema,
} from './entities.ts';
import {
  answerSchema,
  comparisonOutcomeSchema,
  mostTogether,
  scatterSchema,
} from './evaluation/comparison.ts';
import {
  evaluationItemSchema,
  evaluationSchema,
  exportFormatSchema,
  exportOptionsSchema,
  comparedExitSchema,
  exportRecordSchema,
  pushedExportSchema,
} from './results.ts';
import { gradingProcedures } from './evaluation/grading.ts';
import { guardProcedures } from './evaluation/guards.ts';
import { overrideProcedures } from './evaluation/overrides.ts';
import { chatProcedures } from './evaluation/chat.ts';
import { reportProcedures } from './evaluation/report.ts';
import { judgmentProcedures } from './evaluation/judgments.ts';
import { comparisonInput, scoringProcedures } from './evaluation/scoring.ts';
import { settlingProcedures } from './evaluation/settling.ts';
import { preferenceProcedures } from './evaluation/preferences.ts';
import { clusterProcedures } from './cluster.ts';
import { browserAccessProcedures } from './browserAccess.ts';
import { updateProcedures } from './machine.ts';
import { progressEventSchema } from './events.ts';
import { datasetProcedures } from './datasets/datasetProcedures.ts';
import { previewProcedures, templateFactsSchema } from './datasets/previews.ts';
import { statisticsProcedures } from './datasets/statistics.ts';
import { mixProcedures } from './mixing/mixProcedures.ts';
import { mixSchema } from './mixing/mixes.ts';
import { modelProcedures } from './modelProcedures.ts';
import { importProcedures } from './imports/archives.ts';
import { entryName, evaluationInput, force, nothing, projectTitle, reference, task } from './inputs.ts';
import {
  curvesSchema,
  sourceCurveSchema,
  logLevelSchema,
  logLineSchema,
  routerLayoutSchema,
  routerModuleSchema,
  routerRecordSchema,
  sampleSchema,
} from './runRecords.ts';
import { sliceRequestSchema, sliceSchema } from './listSlices.ts';
import { doctorReportSchema, machineLoadSchema, storageReportSchema } from './machine.ts';
import { calibrationSchema, evaluationOutlookSchema, planProcedures } from './forecast.ts';
import { studyProcedures } from './studies.ts';
import { precisionSchema, targetModuleSchema, trainConfigSchema } from './training.ts';
import { askedTemplateSchema } from './templates.ts';

/**
 * Every call the renderer, the browser and the command line can make: name, input and output.
 * A procedure goes in here first; the compiler then names every host and service that lacks it.
 */
export const procedures = {
  'studio.info': {
    input: nothing,
    output: z.object({
      version: z.string(),
      home: z.string(),
      project: z.string(),
      /** How a shell calls the command line of this installation; null: nothing can be typed (`commandCall`). */
      commandLine: z.string().nullable(),
      /** All that a model can be scored by. */
      benchmarks: z.array(benchmarkInfoSchema),
    }),
  },
  /** Where each task stands that has not ended: those who come while it goes on have missed its events. */
  'studio.progress': { input: nothing, output: z.array(progressEventSchema) },
  'studio.doctor': { input: nothing, output: doctorReportSchema },
  /** Provides what the report calls repairable; progress of the task `repair`. */
  'studio.repair': { input: nothing, output: doctorReportSchema },
  'studio.storage': { input: nothing, output: storageReportSchema },
  /** Deletes what the cache can compute anew; refused while a run trains. */
  'studio.cleanCache': {
    input: nothing,
    output: z.object({ files: z.number().int(), bytes: z.number() }),
  },
  'studio.load': { input: nothing, output: machineLoadSchema },
  /** Adds the studio's own small model, its tasks and their mix, for a first run without a download. */
  'studio.addStarter': {
    input: nothing,
    output: z.object({ model: modelSchema, datasets: z.array(datasetSchema), mix: mixSchema }),
  },

  'projects.list': { input: nothing, output: z.array(projectSchema) },
  'projects.create': { input: z.object({ title: projectTitle }), output: projectSchema },
  'projects.update': {
    input: z.object({
      project: reference,
      title: projectTitle.optional(),
      question: z.string().trim().max(200).optional(),
      benchmark: benchmarkNameSchema.nullable().optional(),
      maxTrainable: z.number().int().min(1).nullable().optional(),
    }),
    output: projectSchema,
  },
  /** Opens a project for every page and window; jobs of the one before go on. */
  'projects.open': { input: z.object({ project: reference }), output: projectSchema },
  /** What the open project's scores say about its question; runs nothing. */
  'projects.answer': { input: nothing, output: answerSchema },

  ...modelProcedures,
  ...importProcedures,
  ...mixProcedures,
  ...statisticsProcedures,
  ...clusterProcedures,
  ...browserAccessProcedures,
  ...updateProcedures,
  ...datasetProcedures,
  ...previewProcedures,
  ...gradingProcedures,
  ...guardProcedures,
  ...overrideProcedures,
  ...preferenceProcedures,
  ...judgmentProcedures,
  ...chatProcedures,
  ...settlingProcedures,
  ...scoringProcedures,

  /**
   * Of the open project, newest first. Checked as it was read: to check it once more would take longer than to list it.
   */
  'runs.list': { input: sliceRequestSchema, output: sliceSchema(runSchema), isChecked: true },
  'runs.get': { input: z.object({ run: reference }), output: runSchema },
  /**
   * Steps `from` to `to`, with `points` no more than that many; `smoothing` is the weight of the loss's moving average.
   */
  'runs.curves': {
    input: z.object({
      run: reference,
      from: z.number().min(0).optional(),
      to: z.number().min(0).optional(),
      points: z.number().int().min(50).max(50_000).optional(),
      smoothing: z.number().min(0).lt(1).optional(),
    }),
    output: curvesSchema,
  },
  /** Losses of the sources of a mix, trained and held out; empty for a run on one dataset. */
  'runs.sourceLosses': {
    input: z.object({ run: reference, points: z.number().int().min(2).max(2000).default(400) }),
    output: z.array(sourceCurveSchema),
  },
  /** The training loss of many runs in few points each, for lists; runs that are gone or have no step are absent. */
  'runs.sparklines': {
    input: z.object({
      runs: z.array(reference).max(500),
      points: z.number().int().min(2).max(200).default(32),
    }),
    output: z.record(z.string(), z.array(z.number())),
  },
  /**
   * Answers to one of the run's prompts, in order of their step; of more than `limit` evenly chosen ones, the first and
   * the last among them.
   */
  'runs.samples': {
    input: z.object({
      run: reference,
      prompt: z.number().int().min(0),
      limit: z.number().int().min(2).max(1000).default(200),
    }),
    output: z.array(sampleSchema),
  },
  /** The use of experts at evaluations, in order; of more than `limit` the latest. Null: the run has recorded none. */
  'runs.router': {
    input: z.object({ run: reference, limit: z.number().int().min(1).max(500).default(100) }),
    output: z.object({ layout: routerLayoutSchema, records: z.array(routerRecordSchema) }).nullable(),
  },
  /** Null: there is no checkpoint, or the module is not adapted. */
  'runs.routerModule': {
    input: z.object({ run: reference, layer: z.number().int().min(0), module: targetModuleSchema }),
    output: routerModuleSchema.nullable(),
  },
  /** Lines after or before a given line, or the latest. `total` counts all lines with the text and the level. */
  'runs.logs': {
    input: z.object({
      run: reference,
      after: z.number().int().min(0).optional(),
      before: z.number().int().min(0).optional(),
      limit: z.number().int().min(1).max(5000).default(500),
      search: z.string().max(200).optional(),
      level: logLevelSchema.optional(),
    }),
    output: z.object({ lines: z.array(logLineSchema), total: z.number().int() }),
  },
  'runs.start': {
    input: z.object({
      name: entryName,
      model: reference,
      dataset: reference,
      config: trainConfigSchema,
      /** Trains on the adapter of a run (of that step; absent: what stands for it) with a fresh optimizer. */
      from: z.object({ run: reference, step: z.number().int().min(0).optional() }).optional(),
      force,
    }),
    output: runSchema,
  },
  /**
   * Puts a run that has ended before its last step at the front of the queue: it goes on from its latest checkpoint.
   */
  'runs.resume': { input: z.object({ run: reference, force }), output: runSchema },
  /** Oldest first. */
  'runs.checkpoints': { input: z.object({ run: reference }), output: z.array(checkpointSchema) },
  /**
   * Makes a run that goes on from a checkpoint, parameters and optimizer state, and puts it at the end of the queue.
   * `changes` holds options of the training configuration; options on which the checkpoint depends are refused by name.
   */
  'runs.branch': {
    input: z.object({
      run: reference,
      step: z.number().int().min(0),
      name: entryName,
      changes: z.record(z.string(), z.unknown()).default({}),
      force,
    }),
    output: runSchema,
  },
  /** Ends the run after the current step with a checkpoint, to be resumed; a waiting run leaves the queue. */
  'runs.pause': { input: z.object({ run: reference }), output: runSchema },
  /** Ends the run after the current step; `save` keeps a checkpoint. A waiting run leaves the queue. */
  'runs.stop': { input: z.object({ run: reference, save: z.boolean().default(true) }), output: runSchema },
  'runs.queue': { input: nothing, output: queueSchema },
  /** Moves a waiting run in front of another, or to the end. */
  'runs.move': { input: z.object({ run: reference, before: reference.nullable() }), output: queueSchema },
  'runs.hold': { input: z.object({ isHeld: z.boolean() }), output: queueSchema },
  /** Keeps on how many cards the queue trains at once; what trains goes on. */
  'runs.trainAtOnce': { input: z.object({ atOnce: trainAtOnceSchema }), output: queueSchema },
  /**
   * Pauses the runs that train and takes no other: the studio is about to end. What waits goes on at its next start.
   */
  'runs.suspend': { input: nothing, output: nothing },
  /** Changes what is given: the name, notes, tags (in place of all earlier ones). */
  'runs.annotate': {
    input: z.object({
      run: reference,
      name: entryName.optional(),
      notes: z.string().max(20_000).optional(),
      tags: z.array(z.string().trim().min(1).max(40)).max(30).optional(),
    }),
    output: runSchema,
  },
  /** Bytes that removing it frees: files that a branch shares stay. */
  'runs.storage': { input: z.object({ run: reference }), output: z.object({ freedBytes: z.number().int() }) },
  'runs.restore': { input: z.object({ run: z.string().min(1) }), output: runSchema },
  'runs.remove': { input: z.object({ run: reference }), output: nothing },

  /** What the machine is and what was measured on it, for forecasts (budget/forecast). */
  'plan.calibration': { input: nothing, output: calibrationSchema },
  /** What the open project's scores and studies say of scatter, for sample sizes. */
  'plan.scatter': { input: nothing, output: scatterSchema },
  ...planProcedures,
  ...studyProcedures,

  /** Of the open project, newest first. */
  'evaluations.list': { input: sliceRequestSchema, output: sliceSchema(evaluationSchema), isChecked: true },
  'evaluations.items': {
    input: z.object({ evaluation: reference }),
    output: z.array(evaluationItemSchema),
  },
  'evaluations.start': { input: evaluationInput, output: evaluationSchema },
  /** What the same would take; runs nothing. */
  'evaluations.forecast': { input: evaluationInput, output: evaluationOutlookSchema },
  'evaluations.compare': {
    /** As in `evaluations.start`; data null: the rows that all the runs held out (perplexity only). */
    input: comparisonInput,
    output: comparisonOutcomeSchema,
  },

  /** What scores on the same items say of each other; runs nothing. */
  'evaluations.judge': {
    input: z.object({ evaluations: z.array(reference).min(2).max(mostTogether) }),
    output: comparisonOutcomeSchema,
  },

  ...reportProcedures,

  'generate.text': {
    input: z.object({
      model: reference,
      adapter: reference.nullable().default(null),
      prompt: z.string(),
      /**
       * Null: the prompt is continued as it stands. Else it is what a user says, through a template; what is absent of
       * that is as the adapter's run was trained, else as usual.
       */
      chat: askedTemplateSchema.nullable().default(null),
      maxTokens: z.number().int().min(1).max(8192).default(128),
      temperature: z.number().min(0).max(10).default(0),
      topP: z.number().gt(0).max(1).default(1),
      task: task.optional(),
      seed: z.number().int().min(0).default(0),
      precision: precisionSchema.default('f32'),
    }),
    output: z.object({
      text: z.string(),
      tokens: z.array(z.number().int()),
      tokensPerSecond: z.number(),
      /** Through which template the prompt went; null: through none. */
      template: templateFactsSchema.nullable(),
    }),
  },
  'generate.logits': {
    input: z.object({
      model: reference,
      adapter: reference.nullable().default(null),
      ids: z.array(z.number().int().min(0)).min(1),
      task: task.optional(),
      out: z.string(),
      precision: precisionSchema.default('f32'),
    }),
    output: z.object({ file: z.string(), tokens: z.number().int(), vocabulary: z.number().int() }),
  },

  'exports.list': { input: nothing, output: z.array(exportRecordSchema) },
  /** Where an export of the run goes where a person names no folder. */
  'exports.suggest': {
    input: z.object({ run: reference, format: exportFormatSchema.optional() }),
    output: z.object({ folder: z.string() }),
  },
  /** The ways out of a run side by side; `measure` decodes with each form that was exported. */
  'exports.compare': {
    input: z.object({ run: reference, measure: z.boolean().optional() }),
    output: z.array(comparedExitSchema),
  },
  /** Sends an export to a repository of the Hub, as one commit. */
  'exports.push': {
    input: z.object({
      /** Its id, its folder, or a run, whose newest export is meant. */
      export: z.string().min(1),
      repository: z.string().min(1),
      /** Absent: a new repository is private. */
      isPublic: z.boolean().optional(),
      overwrite: z.boolean().optional(),
    }),
    output: pushedExportSchema,
  },
  'exports.create': {
    input: z.object({
      run: reference,
      /** Absent: `merged` for full fine-tuning, `peft` for every other method. */
      format: exportFormatSchema.optional(),
      /** Absent: the suggested one. */
      folder: z.string().optional(),
      ...exportOptionsSchema.shape,
    }),
    output: exportRecordSchema,
  },
} as const;

export type ProcedureName = keyof typeof procedures;
/** What a caller passes: values with a default may be absent. */
export type ProcedureInput<N extends ProcedureName> = z.input<(typeof procedures)[N]['input']>;
/** What a handler receives after validation. */
export type ProcedureParsedInput<N extends ProcedureName> = z.output<(typeof procedures)[N]['input']>;
export type ProcedureOutput<N extends ProcedureName> = z.output<(typeof procedures)[N]['output']>;

/** One handler per procedure; `signal` aborts long work when the caller cancels. */
export type ProcedureHandlers = {
  [N in ProcedureName]: (
    input: ProcedureParsedInput<N>,
    context: { signal: AbortSignal },
  ) => ProcedureOutput<N> | Promise<ProcedureOutput<N>>;
};
