import type { Model, Run } from '../../../contract/entities.ts';
import type { ReportForm } from '../../../contract/evaluation/report.ts';
import type { ProcedureHandlers } from '../../../contract/procedures.ts';
import { StudioError } from '../../../contract/errors.ts';
import type { Evaluation } from '../../../contract/results.ts';
import { computationVersion } from '../../../engine/protocol.ts';
import { benchmarkInfos } from '../../../evaluation/benchmarks/registry.ts';
import { buildReport } from '../../../report/buildReport.ts';
import { chooseColumns, subjectKey } from '../../../report/columns.ts';
import type { Report } from '../../../report/report.ts';
import { reportCsv } from '../../../report/writers/csv.ts';
import { reportHtml } from '../../../report/writers/html.ts';
import { reportMarkdown } from '../../../report/writers/markdown.ts';
import { reportPicture } from '../../../report/writers/picture.ts';
import { regradeCounts } from '../../../statistics/overrides.ts';
import { findProject } from '../../../store/projects.ts';
import { findEvaluations, listEvaluations, readEvaluationItems } from '../../../store/results.ts';
import { findRun } from '../../../store/runs.ts';
import { missing, type ServiceContext } from '../../context.ts';
import { studioVersion } from '../../machine/machine.ts';
import { currentOverrides } from './overrides.ts';

type Stored = Pick<ServiceContext, 'database' | 'project'>;

/**
 * What the stored scores of some subjects come to, with those of their base models beside them; runs nothing.
 * @param asked.subjects runs by id or name, or evaluations by id, whose subjects are meant
 * @param asked.against name of whom marks compare with; null: LoRA, else the base model
 * @throws StudioError not_found; usage where nothing of them was scored
 */
export async function makeReport(
  stored: Stored,
  models: () => readonly Model[],
  asked: { subjects: readonly string[]; against: string | null },
): Promise<Report> {
  const { database, project } = stored;
  const wanted = new Set<string>();
  const baseModels = new Set<string>();
  for (const reference of asked.subjects) {
    const run = findRun(database, project, reference);
    const evaluation = run ? undefined : findEvaluations(database, project, [reference])[0];
    if (!run && !evaluation) throw missing('run', reference, []);
    wanted.add(run?.id ?? subjectKey(evaluation!));
    baseModels.add(run?.modelId ?? evaluation!.modelId);
  }
  const all = listEvaluations(database, project);
  const isBase = ({ runId, subject, modelId }: Evaluation) =>
    runId === null && subject === 'base' && baseModels.has(modelId);
  const own = all.filter((evaluation) => wanted.has(subjectKey(evaluation)));
  if (own.length === 0)
    throw new StudioError(
      'usage',
      `Nothing of ${asked.subjects.length === 1 ? asked.subjects[0] : `these ${asked.subjects.length} subjects`} was scored in this project.`,
      'Score them first: on the page under Evaluate, or with `eval` or `compare`.',
    );
  // A base model is told where one of the others is scored alike.
  const { columns, leftOut } = chooseColumns(own);
  const keys = new Set(columns.map(({ key }) => key));
  const whole = chooseColumns(all.filter((one) => wanted.has(subjectKey(one)) || isBase(one))).columns;
  const shown = columns.map(
    (column) => whole.find(({ key }) => keys.has(key) && key === column.key) ?? column,
  );
  const items = new Map<string, Awaited<ReturnType<typeof readEvaluationItems>>>();
  const runs = new Map<string, Run>();
  let regraded = 0;
  for (const { evaluations } of shown)
    for (const { id, runId } of evaluations) {
      const found = await readEvaluationItems(database, id);
      items.set(id, found);
      regraded += regradeCounts(found, currentOverrides(database, id, found)).changed;
      const run = runId === null ? null : findRun(database, project, runId);
      if (run) runs.set(run.id, run);
    }
  const about = findProject(database, project);
  const byId = new Map(models().map((model) => [model.id, model]));
  const labels = new Map(benchmarkInfos.map(({ name, label }) => [name, label]));
  const report = await buildReport({
    title: `Scores of ${about?.title ?? project}`,
    question: about?.question ?? '',
    createdAt: new Date().toISOString(),
    studio: studioVersion,
    computation: String(computationVersion),
    columns: shown,
    leftOut,
    runs,
    items,
    modelParameters: (id) => byId.get(id)?.parameters ?? null,
    benchmarkLabel: (name) => labels.get(name) ?? name,
    against: asked.against,
    notes:
      regraded === 0
        ? []
        : [
            `${regraded} ${regraded === 1 ? 'grade was' : 'grades were'} changed by hand: every figure here is by the stored grades.`,
          ],
  });
  const isThere = (name: string) =>
    report.groups.some(({ subjects }) =>
      subjects.some((one) => one.name === name || one.runs.some((run) => run.name === name)),
    );
  if (asked.against !== null && !isThere(asked.against))
    throw new StudioError(
      'not_found',
      `"${asked.against}" is none of the subjects of the report.`,
      `Compare with one of ${report.groups.flatMap(({ subjects }) => subjects.map(({ name }) => name)).join(', ')}.`,
    );
  return report;
}

const writers: Readonly<Record<ReportForm, (report: Report) => string>> = {
  html: reportHtml,
  svg: (report) => reportPicture(report, 'light'),
  csv: reportCsv,
  md: reportMarkdown,
};

export interface ReportService {
  /** @throws StudioError not_found; usage where nothing of them was scored */
  make(asked: { subjects: readonly string[]; against: string | null }): Promise<Report>;
}

export function createReportService(context: Stored, models: { list(): readonly Model[] }): ReportService {
  return { make: (asked) => makeReport(context, () => models.list(), asked) };
}

/** What callers ask of them. */
export const reportHandlers = (context: Stored, reports: ReportService) =>
  ({
    'evaluations.report': async ({ form, ...asked }) => {
      const text = writeReport(await reports.make(asked), form);
      return { name: `scores-${context.project.replaceAll(/[^\w.-]+/g, '-')}.${form}`, text };
    },
  }) satisfies Partial<ProcedureHandlers>;

/** A report as a file of one of its forms. */
export function writeReport(report: Report, form: ReportForm): string {
  return writers[form](report);
}
