import { cpus } from 'node:os';
import { deviceMemory, memoryFit, worstFit, type FitVerdict } from '../../budget/forecast/calibrate.ts';
import {
  evaluationErrors,
  forecastEvaluation,
  type EvaluationRecord,
} from '../../budget/forecast/evaluation.ts';
import type { Calibration, EvaluationForecast, EvaluationOutlook } from '../../contract/forecast.ts';
import { quantizationOf } from '../../contract/training.ts';
import { readDecoderConfig } from '../../formats/families/huggingFaceConfig.ts';
import { newestEvaluations } from '../../store/results.ts';
import type { ServiceContext } from '../context.ts';
import type { EvaluationSettings, PreparedEvaluation } from './evaluationJobs.ts';
import { usableMemory } from '../machine/machine.ts';
import type { Subject } from './subjects.ts';

/** So many evaluations count, the newest. */
const mostRecords = 200;

/** Forecast of an evaluation whose rows are tokenized. */
export function foreseeEvaluation(
  context: ServiceContext,
  given: {
    subject: Subject;
    settings: EvaluationSettings;
    prepared: PreparedEvaluation;
    gpu: Calibration['gpu'];
  },
): EvaluationForecast {
  const { subject, settings, prepared, gpu } = given;
  const { model, run } = subject;
  const { pending, rowTokens, maxTokens, scoring } = prepared;
  return forecastEvaluation(
    {
      modelId: model.id,
      shape: readDecoderConfig(model.folder),
      items: pending,
      rowTokens,
      maxTokens,
      scoring,
      benchmark: settings.benchmark,
      precision: settings.precision,
      // A foreign adapter folder is small beside the model.
      adapter: run?.config.adapter ?? null,
      quantization: run ? quantizationOf(run.config) : 'none',
    },
    { cores: cpus().length, gpu },
    pastEvaluations(context),
  );
}

/** Whether it finds room on the device that computes, and its process in the machine's memory. */
export function evaluationFit(
  { memoryBytes, hostBytes }: EvaluationForecast,
  gpu: Calibration['gpu'],
): FitVerdict {
  const machine = usableMemory();
  const onDevice = memoryFit(memoryBytes, deviceMemory({ gpu, memoryBytes: machine }));
  return hostBytes === null ? onDevice : worstFit([onDevice, memoryFit(hostBytes, machine)]);
}

export function pastErrors(context: ServiceContext): EvaluationOutlook['errors'] {
  return evaluationErrors(pastEvaluations(context));
}

/** Of all projects; a data folder that came from another machine corrects itself with the next evaluations. */
function pastEvaluations({ database }: ServiceContext): EvaluationRecord[] {
  return newestEvaluations(database, mostRecords).flatMap(
    ({ modelId, benchmark, precision, forecast, measured }): EvaluationRecord[] =>
      forecast && measured ? [{ modelId, benchmark, precision, forecast, measured }] : [],
  );
}
