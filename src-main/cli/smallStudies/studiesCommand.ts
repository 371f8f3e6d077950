import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import { StudioError } from '../../contract/errors.ts';
import { writeFileAtomic } from '../../formats/files/atomicFile.ts';
import { precisionSchema } from '../../contract/training.ts';
import { agreement, type StudyRecord } from '../../report/studyRecord.ts';
import { studyPicture } from '../../report/writers/studyPicture.ts';
import { check, list, number, parseCommand, text, usageError } from '../arguments.ts';
import { homeOf, withCore, type CommandContext } from '../commandContext.ts';
import { formatCount, formatTable } from '../output.ts';
import { materialOf, trainedArms, type Training } from './made.ts';
import { recordOf } from './recorded.ts';
import { speedRecord } from './speed.ts';
import { smallStudies, type SmallStudy } from './studies.ts';

/** With these the starter model has learned half of what it can, and settings differ most. */
const usualSteps = 60;
const usualItems = 60;

/**
 * studies NAME...|all [--model M --seeds 0,1,2 --max-steps N --batch N --precision P --limit N --out DIR
 * --allow-code-execution]: studies of the paper at the size of the starter model, or of another. Goes on where it was
 * stopped. `--draw` makes the pictures anew from what was recorded in --out.
 */
export async function studiesCommand(args: readonly string[], command: CommandContext): Promise<void> {
  const { values, positionals } = parseCommand(args, {
    model: { type: 'string' },
    seeds: { type: 'string' },
    'max-steps': { type: 'string' },
    batch: { type: 'string' },
    precision: { type: 'string' },
    limit: { type: 'string' },
    out: { type: 'string' },
    draw: { type: 'boolean' },
    'allow-code-execution': { type: 'boolean' },
  });
  const chosen = chosenOf(positionals);
  const home = resolve(text(values, 'home') ?? join(homeOf(values), 'studies'));
  const out = resolve(text(values, 'out') ?? join(home, 'found'));
  const write = (study: SmallStudy, record: StudyRecord) =>
    writeFileAtomic(join(out, `${study.name}.svg`), studyPicture(record, study.picture));
  if (values['draw'] === true) {
    for (const study of chosen) write(study, readRecord(join(out, `${study.name}.json`)));
    return;
  }
  const seeds = (list(values, 'seeds') ?? ['0', '1', '2']).map(Number);
  if (seeds.some((seed) => !Number.isInteger(seed) || seed < 0))
    throw usageError('--seeds takes whole numbers from 0, for example 0,1,2.');
  const precision = precisionSchema.safeParse(text(values, 'precision') ?? 'f32');
  if (!precision.success)
    throw usageError(`--precision "${text(values, 'precision')}" is neither f32 nor bf16.`);
  const atLeastOne = (name: string) => {
    const value = number(values, name);
    return value === undefined ? undefined : check(z.int().min(1), value, () => `--${name}`);
  };
  const training: Training = {
    steps: atLeastOne('max-steps') ?? usualSteps,
    batch: atLeastOne('batch'),
    precision: precision.data,
  };
  const limit = atLeastOne('limit') ?? usualItems;
  await withCore({ ...values, home }, 'write', async (core, output) => {
    output.progress(`The data folder of the studies is ${home}.`);
    if (values['allow-code-execution'] === true) core.grading.allowForNow();
    const records: StudyRecord[] = [];
    for (const study of chosen) {
      output.progress(`\n${study.title}`);
      const material = await materialOf(core, text(values, 'model'), {
        ...training,
        ...(study.isSpeed && { steps: 1 }),
      });
      const wanted = { material, keys: study.settings, seeds: study.isSpeed ? [0] : seeds };
      const arms = await trainedArms(core, wanted, command, output);
      const record = study.isSpeed
        ? await speedRecord(core, { study, material, arms }, command, output)
        : await recordOf(core, { study, material, arms, limit }, command, output);
      writeFileAtomic(join(out, `${study.name}.json`), `${JSON.stringify(record, null, 1)}\n`);
      write(study, record);
      records.push(record);
    }
    output.result(records, () => [...records.map(recordText), `Figures and pictures: ${out}`].join('\n\n'));
  });
}

/** @throws StudioError usage */
function chosenOf(names: readonly string[]): readonly SmallStudy[] {
  const known = smallStudies.map(({ name }) => name).join(', ');
  if (names.length === 0) throw usageError(`Which study? There are ${known}, and all.`);
  if (names.length === 1 && names[0] === 'all') return smallStudies;
  return names.map((name) => {
    const found = smallStudies.find((study) => study.name === name);
    if (!found) throw usageError(`There is no study "${name}"; there are ${known}, and all.`);
    return found;
  });
}

function readRecord(path: string): StudyRecord {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as StudyRecord;
  } catch (error) {
    throw new StudioError(
      'not_found',
      `${path} has no figures: ${error instanceof Error ? error.message : String(error)}`,
      'Make the study first, or name its folder with --out.',
    );
  }
}

/** What a study found, as text. */
function recordText(record: StudyRecord): string {
  const { columns, arms, verdicts } = record;
  const shown = (value: number, place: number) =>
    columns[place]!.unit === 'percent' ? (100 * value).toFixed(1) : value.toFixed(3);
  return [
    `${record.title} (${record.model} on ${record.data}; ${record.settings}; seeds ${record.seeds.join(', ')})`,
    formatTable(
      ['setting', 'trainable', ...columns.map(({ label }) => label)],
      arms.map(({ label, trainable, cells }) => [
        label,
        formatCount(trainable),
        ...cells.map((cell, place) =>
          cell
            ? `${shown(cell.mean, place)} (${shown(cell.interval[0], place)} to ${shown(cell.interval[1], place)})`
            : '–',
        ),
      ]),
    ),
    ...verdicts.map((verdict) =>
      verdict.column === 'time' ? verdict.sentence : `${verdict.sentence} [${agreement(verdict)}]`,
    ),
  ].join('\n');
}
