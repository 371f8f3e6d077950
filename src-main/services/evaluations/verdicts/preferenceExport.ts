import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { PreferencePairs } from '../../../contract/evaluation/preferences.ts';
import { StudioError } from '../../../contract/errors.ts';
import type { ProcedureHandlers, ProcedureParsedInput } from '../../../contract/procedures.ts';
import type { Evaluation } from '../../../contract/results.ts';
import {
  preferenceRows,
  type AnsweringPair,
  type AnsweringSubject,
  type PreferenceRow,
} from '../../../evaluation/preferencePairs.ts';
import { sameItems } from '../../../evaluation/standing.ts';
import { writeNewFileAtomic } from '../../../formats/files/atomicFile.ts';
import { findEvaluations, readEvaluationItems } from '../../../store/results.ts';
import { findRun } from '../../../store/runs.ts';
import { missing, type ServiceContext } from '../../context.ts';
import { typedPath } from '../../homePaths.ts';
import { votesBetween } from '../preferences.ts';
import { currentOverrides } from './overrides.ts';

type PairsInput = ProcedureParsedInput<'preferences.pairs'>;

/** Pairs of answers as preference data: what was learned by judging them becomes data to train on. */
export function preferenceExportHandlers(context: ServiceContext) {
  const { database, paths } = context;

  async function subjectOf(evaluation: Evaluation): Promise<AnsweringSubject> {
    const { id, runId, subject, modelName } = evaluation;
    const run = runId === null ? null : findRun(database, context.project, runId);
    const items = await readEvaluationItems(database, id);
    const name = run?.name ?? (subject === 'base' ? `${modelName} (base)` : subject);
    return { evaluation, name, items, overrides: currentOverrides(database, id, items) };
  }

  async function find({ evaluations: ids, ...which }: PairsInput): Promise<Found> {
    const evaluations = findEvaluations(database, context.project, ids);
    const absent = ids.find((id) => !evaluations.some((one) => one.id === id));
    if (absent !== undefined) throw missing('evaluation', absent, []);
    checkAlike(evaluations);
    const subjects: AnsweringSubject[] = [];
    for (const evaluation of evaluations) subjects.push(await subjectOf(evaluation));
    const pairs = subjects.flatMap((a, i) =>
      subjects.slice(i + 1).map((b): AnsweringPair => ({
        a,
        b,
        votes: votesBetween(database, a.evaluation.id, b.evaluation.id),
      })),
    );
    const { rows, counts } = preferenceRows(pairs, which);
    const [first] = evaluations;
    return {
      rows,
      told: {
        form: first!.prompts?.chat ? 'conversational' : 'standard',
        rows: rows.length,
        ...counts,
        shots: first!.shots,
        path: suggested(subjects),
      },
    };
  }

  /** Named by what was asked and who answered, and numbered where something else lies there. */
  function suggested(subjects: readonly AnsweringSubject[]): string {
    const names = subjects.map(({ name }) => name.replace(/[^\w.-]+/g, '_'));
    const stem = `preferences-${subjects[0]!.evaluation.benchmark}-${names.join('-')}`.slice(0, 120);
    for (let number = 1; ; number++) {
      const path = join(paths.exports, `${stem}${number === 1 ? '' : `-${number}`}.jsonl`);
      if (!existsSync(path)) return path;
    }
  }

  return {
    'preferences.pairs': async (input) => (await find(input)).told,
    async 'preferences.export'({ path: typed, ...input }) {
      const { rows, told } = await find(input);
      const path = typed === undefined ? told.path : typedPath(typed);
      if (rows.length === 0)
        throw new StudioError(
          'dataset_empty',
          'No pair of these answers has a better one: nothing was written.',
          'Judge some pairs without names, or compare on items that one of them gets right and the other wrong.',
        );
      const text = rows.map((row) => `${JSON.stringify(row)}\n`).join('');
      if (!writeNewFileAtomic(path, text))
        throw new StudioError(
          'name_taken',
          `There is something at ${path} already: it was left as it is.`,
          'Choose another name for the file.',
        );
      return { ...told, path };
    },
  } satisfies Partial<ProcedureHandlers>;
}

interface Found {
  rows: PreferenceRow[];
  told: PreferencePairs;
}

/** Texts and turns cannot stand in one file, and answers to other questions are no pair. */
function checkAlike(evaluations: readonly Evaluation[]): void {
  const [first, ...others] = evaluations;
  const other = others.find((one) => sameItems(one) !== sameItems(first!));
  if (other)
    throw new StudioError(
      'usage',
      `${first!.subject} and ${other.subject} did not answer the same items asked in the same way (${first!.benchmark} of ${basename(first!.dataPath)}, ${first!.n} items; ${other.benchmark} of ${basename(other.dataPath)}, ${other.n} items).`,
      'Score both with the same data, limit, shots and template.',
    );
}
