import type { Run } from '../../../contract/entities.ts';
import type { Settling } from '../../../contract/evaluation/settling.ts';
import { StudioError } from '../../../contract/errors.ts';
import type { ProcedureHandlers, ProcedureParsedInput } from '../../../contract/procedures.ts';
import type { Evaluation } from '../../../contract/results.ts';
import { differBySeedAlone } from '../../../evaluation/confounders.ts';
import { settle, type SettlingGround, type SettlingStep } from '../../../evaluation/settle.ts';
import { findEvaluations, listEvaluations } from '../../../store/results.ts';
import { findRun } from '../../../store/runs.ts';
import { freeName, missing, type ServiceContext } from '../../context.ts';
import type { DatasetService } from '../../data/datasetService.ts';
import type { RunService } from '../../runs/runService.ts';
import { givenData } from '../evaluationData.ts';
import { itemSecondsOf } from '../itemSeconds.ts';

/** Plans what would settle an open comparison. */
export interface SettlingService {
  /** From what is stored and was measured here; runs nothing. @throws StudioError not_found */
  plan(input: ProcedureParsedInput<'evaluations.settle'>): Promise<Settling>;
}

export function createSettlingService(
  context: ServiceContext,
  datasets: DatasetService,
  runs: RunService,
): SettlingService {
  const { database } = context;
  /** Counting reads a whole file: once for the same data. */
  const counted = new Map<string, number>();

  async function itemsOf(evaluation: Evaluation): Promise<number | null> {
    const { asked, benchmark, shots, dataHash } = evaluation;
    if (!asked?.data) return null;
    try {
      const data = await givenData(datasets, asked.data);
      // With solved examples the hash is of them, too.
      if (shots === 0 && data.hash !== dataHash) return null;
      const key = `${benchmark === 'perplexity'} ${data.hash}`;
      const known = counted.get(key);
      if (known !== undefined) return known;
      let count = 0;
      for await (const _ of benchmark === 'perplexity' ? data.rows() : data.records()) count++;
      counted.set(key, count);
      return count;
    } catch (error) {
      if (error instanceof StudioError) return null;
      throw error;
    }
  }

  /** Each side trained here, with what further seeds of it are made from; else why there can be none. */
  function trainedSides(sides: readonly Evaluation[][]): { sides: Run[][]; problem: string | null } {
    const found = sides.map((side) =>
      side.flatMap(({ runId }) => {
        const run = runId === null ? null : findRun(database, context.project, runId);
        // How an imported adapter was trained is not known: no further seed of it can be.
        return run && !run.imported ? [run] : [];
      }),
    );
    if (sides.some((side) => side.some(({ asked }) => asked?.data === null)))
      return {
        sides: found,
        problem:
          'Rows that a run held out are drawn by its seed: other seeds hold out others. Score on a dataset, and further seeds can be compared.',
      };
    const branched = found.flat().find(({ parent }) => parent !== null);
    if (branched)
      return {
        sides: found,
        problem: `The run "${branched.name}" was branched from a checkpoint of another: a further seed begins anew, and is another experiment.`,
      };
    const lost = found.flat().find(({ start }) => start && !findRun(database, context.project, start.runId));
    if (lost)
      return {
        sides: found,
        problem: `The run "${lost.name}" began with the adapter of "${lost.start!.runName}", which is gone: a further seed cannot begin with it.`,
      };
    const isTrained = found.every((side, i) => side.length === sides[i]!.length);
    return {
      sides: found,
      problem: isTrained
        ? null
        : 'One of the two was not trained here: there are no further seeds of it. Other data with more items would be needed.',
    };
  }

  async function plan({ comparison, a, b }: ProcedureParsedInput<'evaluations.settle'>): Promise<Settling> {
    const sides = [a, b].map((ids) => {
      const found = findEvaluations(database, context.project, ids);
      const absent = ids.find((id) => !found.some((one) => one.id === id));
      if (absent !== undefined) throw missing('evaluation', absent, []);
      return found;
    });
    const evaluations = sides.flat();
    const all = listEvaluations(database, context.project);
    const perItem = evaluations.map((one) => itemSecondsOf(one, all));
    const trained = trainedSides(sides);
    const perRun = trained.sides.map((side) => runSeconds(side));
    const ground: SettlingGround = {
      available: await itemsOf(evaluations[0]!),
      problem: evaluations.some(({ asked }) => asked === null)
        ? 'These scores were made by an older studio, which did not keep what was asked: score both once more.'
        : null,
      secondsPerItem: sumOf(perItem),
      seedProblem: trained.problem,
      secondsPerSeed: sumOf(perRun),
    };
    const { size, ...step } = settle(comparison, ground);
    const precisions = sides.map((side) => side[0]!.precision);
    const further = step.step === 'seeds' ? furtherSeeds(trained.sides, size, precisions, runs.list()) : null;
    return {
      ...step,
      evaluations: step.step === 'items' ? evaluations.map((one) => asMuch(one, size, step)) : [],
      runs: further?.runs ?? [],
      scores: further?.scores ?? [],
      afterwards: step.step === 'seeds' ? evaluations[0]!.asked : null,
    };
  }

  return { plan };
}

/** What callers ask of it. */
export const settlingHandlers = (settling: SettlingService) =>
  ({ 'evaluations.settle': (input) => settling.plan(input) }) satisfies Partial<ProcedureHandlers>;

/** What one more training of a side takes: the mean of those that there are. */
function runSeconds(side: readonly Run[]): number | null {
  const measured = side.flatMap((run) => run.measured?.seconds ?? []);
  return measured.length === 0 ? null : measured.reduce((sum, value) => sum + value, 0) / measured.length;
}

/** Null where one of them is not known. */
function sumOf(values: readonly (number | null)[]): number | null {
  return values.reduce<number | null>(
    (sum, value) => (sum === null || value === null ? null : sum + value),
    0,
  );
}

/** The same evaluation on the first so many items; all of them have no limit. */
function asMuch(
  { asked, modelId, runId, subject, precision }: Evaluation,
  size: number,
  { availableItems }: Pick<SettlingStep, 'availableItems'>,
): Settling['evaluations'][number] {
  return {
    ...asked!,
    model: modelId,
    adapter: runId ?? (subject === 'base' ? null : subject),
    precision,
    limit: size === availableItems ? null : size,
  };
}

/** Trained, or trained without being asked again: no second one of its seed is needed. */
const isUsable = ({ state }: Run) => state === 'done' || state === 'queued' || state === 'running';

/** Whether a run is of the same setting with another seed; one that waits has not read its data yet. */
function isOtherSeed(a: Run, b: Run): boolean {
  const base = { modelId: a.modelId, name: a.modelName, hash: null };
  const ofId = a.dataContract === null || b.dataContract === null;
  const [run, other] = [a, b].map((one) => (ofId ? { ...one, dataContract: null } : one));
  return (
    b.parent === null &&
    differBySeedAlone({ run: run!, base }, { run: other!, base: { ...base, modelId: b.modelId } })
  );
}

/**
 * Runs of both sides that differ from those that are there by their seed alone; both have the same new seeds. One that
 * was asked for before and is trained, or waits for it, is not trained a second time.
 * @param precisions in which the scores of each side were computed: those of its further seeds are, too
 */
function furtherSeeds(
  sides: readonly Run[][],
  size: number,
  precisions: readonly Evaluation['precision'][],
  known: readonly Run[],
): Pick<Settling, 'runs' | 'scores'> {
  const names = new Set(known.map(({ name }) => name));
  const others = sides.map((side) => known.filter((run) => isOtherSeed(side[0]!, run)));
  const compared = new Set(sides.flat().map(({ config }) => config.seed));
  const there = sides.map(
    (_, i) => new Map(others[i]!.filter(isUsable).map((run) => [run.config.seed, run])),
  );
  const spent = others.map((runs, i) =>
    runs.flatMap(({ config }) => (there[i]!.has(config.seed) ? [] : config.seed)),
  );
  const begun = [...new Set(there.flatMap((side) => [...side.keys()]))]
    .filter((seed) => !compared.has(seed) && !spent.some((seeds) => seeds.includes(seed)))
    .sort((a, b) => a - b);
  const used = [...others.flat(), ...sides.flat()].reduce(
    (most, { config }) => Math.max(most, config.seed),
    0,
  );
  const seeds = [...begun, ...Array.from({ length: size }, (_, i) => used + 1 + i)].slice(0, size);
  const runs: Settling['runs'] = [];
  const scores: Settling['scores'] = [];
  sides.forEach((side, i) => {
    const { name: ofFirst, modelId, datasetId, config, start } = side[0]!;
    const stem = ofFirst.replace(/[-_ ]*seed[-_ ]*\d+$/i, '').slice(0, 80);
    const precision = precisions[i]!;
    for (const seed of seeds) {
      const found = there[i]!.get(seed);
      const name = found?.id ?? freeName(`${stem}-seed-${seed}`, (wish) => names.has(wish));
      scores.push({ run: name, precision });
      if (found) continue;
      names.add(name);
      const from = start && { from: { run: start.runId, step: start.step } };
      runs.push({ name, model: modelId, dataset: datasetId!, config: { ...config, seed }, ...from });
    }
  });
  return { runs, scores };
}
