import { planStudy, type StudyPlan } from '../../../../src-main/budget/studies/plan.ts';
import {
  isPaperModel,
  paperStudies,
  paperStudy,
  studyNotes,
} from '../../../../src-main/budget/studies/paperStudies.ts';
import { checkStudyData, isPaperData } from '../../../../src-main/budget/studies/studyData.ts';
import type { Dataset, Model, Run } from '../../../../src-main/contract/entities.ts';
import { toPlainError, type PlainError } from '../../../../src-main/contract/errors.ts';
import {
  mostSeeds,
  paperStudyIdSchema,
  type PaperStudyId,
  type Study,
  type StudyQuestion,
} from '../../../../src-main/contract/studies.ts';
import { methods, type Method, type TrainConfig } from '../../../../src-main/contract/training.ts';
import { trainedData, type DataLibrary, type TrainedData } from '../../../options/trainedData.ts';
import { fillStored } from '../../../state/stored.svelte.ts';
import { modelShape } from '../../../../src-main/shape/modelShape.ts';
import { readBudget, restoreBudget, type BudgetForm } from '../solverForm.ts';

/** What is to be compared, as the form has it. */
export interface StudyForm extends BudgetForm {
  /** `budget`: methods at one budget; `data`: datasets and mixes, at the same steps; else a study of the paper. */
  kind: 'budget' | 'data' | PaperStudyId;
  name: string;
  modelId: string | null;
  datasetId: string | null;
  methods: Method[];
  /** Ids of the datasets and mixes that are compared. */
  compared: string[];
  /** As people type them: 0, 1, 2. */
  seeds: string;
}

export const studyKey = 'studio.planStudy';

/** What was stored, as far as it is of the right kind. */
export function restoreStudy(
  saved: Partial<Record<keyof StudyForm | 'amount' | 'runId', unknown>>,
): StudyForm {
  const text = (key: 'name' | 'seeds', otherwise: string) =>
    typeof saved[key] === 'string' ? saved[key] : otherwise;
  const id = (key: 'modelId' | 'datasetId') => (typeof saved[key] === 'string' ? saved[key] : null);
  const wanted: unknown[] = Array.isArray(saved.methods) ? saved.methods : ['lora', 'idlora'];
  return {
    kind: saved.kind === 'data' ? 'data' : (paperStudyIdSchema.safeParse(saved.kind).data ?? 'budget'),
    name: text('name', ''),
    modelId: id('modelId'),
    datasetId: id('datasetId'),
    methods: methods.filter((method) => wanted.includes(method)),
    compared: Array.isArray(saved.compared)
      ? saved.compared.filter((one): one is string => typeof one === 'string')
      : [],
    seeds: text('seeds', '0, 1'),
    ...restoreBudget(saved, { budget: '1', unit: 'percentBase' }),
  };
}

/** Puts so many seeds into the form before it is opened, as many as a study may have. */
export function fillStudySeeds(seeds: number): void {
  fillStored<StudyForm>(studyKey, restoreStudy, { seeds: `0-${Math.min(seeds, mostSeeds) - 1}` });
}

/** What the form's plan is made from besides it. */
export interface StudyStock extends DataLibrary {
  models: readonly Model[];
  studies: readonly Study[];
  /** Runs that a budget can be taken from. */
  runs: readonly Run[];
  /** Options that all runs share; null: the form of Train has a mistake. */
  config: TrainConfig | null;
}

export interface StudyCheck {
  model: Model | null;
  data: TrainedData | null;
  name: string;
  question: StudyQuestion | null;
  plan: StudyPlan | null;
  /** Where it is not the paper's, and what the paper leaves open. */
  notes: string[];
  problems: Partial<Record<keyof StudyForm, string>>;
  /** What keeps it from being made, besides problems at fields. */
  missing: string[];
  /** Why there is no plan, where that belongs to no field. */
  error: PlainError | null;
}

/** Checks the form and plans the study that it describes, as the core will. */
export function checkStudy(form: Readonly<StudyForm>, stock: StudyStock): StudyCheck {
  const usable = stock.models.filter(({ unusable }) => !unusable);
  const model = usable.find(({ id }) => id === form.modelId) ?? null;
  const compared = form.compared.flatMap((id) => trainedData(id, stock) ?? []);
  const data = form.kind === 'data' ? together(compared) : trainedData(form.datasetId, stock);
  const paper = form.kind === 'budget' || form.kind === 'data' ? null : form.kind;
  const problems: StudyCheck['problems'] = {};
  const missing: string[] = [];
  if (!model) missing.push('Choose a model');
  if (!data) missing.push('Choose a dataset');
  const name = form.name.trim() || suggestedName(form.kind, stock.studies);
  if (name.length > 60) problems.name = 'At most 60 characters.';
  else if (stock.studies.some((study) => study.name === name))
    problems.name = `There is already a study “${name}”.`;
  const seeds = readSeeds(form.seeds);
  if ('problem' in seeds) problems.seeds = seeds.problem;
  const question =
    'problem' in seeds ? null : questionOf(form, { seeds: seeds.value, compared }, stock, problems, missing);
  const base = { model, data, name, question, problems, missing };
  const notes = paper !== null && model && data ? studyNotes(paperStudy(paper), { model, data }) : [];
  if (!question || !model) return { ...base, notes, plan: null, error: null };
  try {
    if (paper !== null)
      for (const dataset of data?.datasets ?? []) checkStudyData(paperStudy(paper).scoredWith, dataset);
    const { contextLength } = model;
    const plan = planStudy({ shape: modelShape(model), contextLength }, name, question);
    return { ...base, notes, plan, error: null };
  } catch (error) {
    return { ...base, notes, plan: null, error: toPlainError(error) };
  }
}

function questionOf(
  form: Readonly<StudyForm>,
  { seeds, compared }: { seeds: number[]; compared: readonly TrainedData[] },
  stock: StudyStock,
  problems: StudyCheck['problems'],
  missing: string[],
): StudyQuestion | null {
  if (form.kind === 'data') {
    if (compared.length < 2) problems.compared = 'Choose at least two.';
    if (!stock.config) missing.push('Correct the form in Train: its options are those of all runs');
    else if (stock.config.maxSteps === null)
      missing.push('Give a number of steps in Train: all runs need the same');
    if (compared.length < 2 || !stock.config || stock.config.maxSteps === null) return null;
    return { kind: 'data', data: compared.map(({ name }) => name), seeds, config: stock.config };
  }
  if (form.kind !== 'budget') return { kind: 'paper', study: form.kind, seeds };
  const read = readBudget(form, stock.runs);
  if ('problem' in read) problems.budget = read.problem;
  if (form.methods.length === 0) problems.methods = 'Choose at least one method.';
  if (!stock.config) missing.push('Correct the form in Train: its options are those of all runs');
  if ('problem' in read || form.methods.length === 0 || !stock.config) return null;
  return {
    kind: 'equal_budget',
    methods: [...form.methods],
    seeds,
    budget: read.budget,
    config: stock.config,
  };
}

/** Several data as one, for what is asked of all of them; null where none is chosen. */
function together(compared: readonly TrainedData[]): TrainedData | null {
  const [first] = compared;
  if (!first) return null;
  const datasets = new Map(compared.flatMap((data) => data.datasets.map((one) => [one.id, one] as const)));
  return { ...first, name: compared.map(({ name }) => name).join(', '), datasets: [...datasets.values()] };
}

/** A free name that says what the study is. */
function suggestedName(kind: StudyForm['kind'], studies: readonly Study[]): string {
  const wish = kind === 'budget' ? 'equal-budget' : kind === 'data' ? 'compared-data' : kind;
  const taken = new Set(studies.map(({ name }) => name));
  if (!taken.has(wish)) return wish;
  for (let n = 2; ; n++) if (!taken.has(`${wish}-${n}`)) return `${wish}-${n}`;
}

/** Takes a study of the paper into the form, with its model and data where the library has them. */
export function takePaperStudy(
  form: StudyForm,
  id: PaperStudyId,
  library: { models: readonly Model[]; datasets: readonly Dataset[] },
): void {
  const study = paperStudies.find((known) => known.id === id)!;
  const found = foundInLibrary(study.id, library);
  form.kind = id;
  form.name = '';
  if (found.model) form.modelId = found.model.id;
  if (found.dataset) form.datasetId = found.dataset.id;
}

/** The model and the dataset of a study of the paper, where the library has them. */
export function foundInLibrary(
  id: PaperStudyId,
  library: { models: readonly Model[]; datasets: readonly Dataset[] },
): { model: Model | null; dataset: Dataset | null } {
  const { model, data } = paperStudy(id);
  return {
    model: library.models.find((known) => !known.unusable && isPaperModel(model, known)) ?? null,
    dataset: library.datasets.find((known) => isPaperData(data, known)) ?? null,
  };
}

const largestSeed = 0x7fffffff;

/** Seeds as people type them: 0, 1, 2 or 0-4. */
function readSeeds(text: string): { value: number[] } | { problem: string } {
  const parts = text.split(/[\s,]+/).filter(Boolean);
  if (parts.length === 0) return { problem: 'Name at least one seed.' };
  const seeds: number[] = [];
  for (const part of parts) {
    const [, from, to = from] = /^(\d{1,10})(?:-(\d{1,10}))?$/.exec(part) ?? [];
    const [first, last] = [Number(from), Number(to)];
    if (from === undefined || last < first || last > largestSeed)
      return { problem: `“${part}” is no whole number from 0 to ${largestSeed.toLocaleString('en-US')}.` };
    if (last - first >= mostSeeds) return { problem: `At most ${mostSeeds} seeds.` };
    for (let seed = first; seed <= last; seed++) seeds.push(seed);
  }
  if (new Set(seeds).size < seeds.length) return { problem: 'Each seed once.' };
  if (seeds.length > mostSeeds) return { problem: `At most ${mostSeeds} seeds.` };
  return { value: seeds };
}
