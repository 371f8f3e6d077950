import { existsSync, statSync } from 'node:fs';
import { extname, resolve } from 'node:path';
import { reportForms, reportInput, type ReportForm } from '../../contract/evaluation/report.ts';
import { StudioError } from '../../contract/errors.ts';
import { writeFileAtomic } from '../../formats/files/atomicFile.ts';
import { writeReport } from '../../services/evaluations/verdicts/report.ts';
import { check, parseCommand, text, usageError } from '../arguments.ts';
import { withCore, type CommandContext } from '../commandContext.ts';

/** report RUN [RUN2 ...] [--against NAME --out FILE.html|.svg|.csv|.md --overwrite] */
export async function reportCommand(args: readonly string[], _command: CommandContext): Promise<void> {
  const { values, positionals } = parseCommand(args, {
    against: { type: 'string' },
    out: { type: 'string' },
    overwrite: { type: 'boolean' },
  });
  if (positionals.length === 0) throw usageError('report needs a run, or several.');
  const asked = check(
    reportInput,
    { subjects: positionals, against: text(values, 'against') ?? null },
    (path) => (path === 'against' ? '--against' : 'RUN'),
  );
  const given = text(values, 'out');
  const out = given === undefined ? null : { path: resolve(given), form: formOf(given) };
  if (out) refuseExisting(out.path, values['overwrite'] === true);
  await withCore(values, 'read', async ({ reports }, output) => {
    const report = await reports.make(asked);
    if (out) writeFileAtomic(out.path, writeReport(report, out.form));
    output.result(out ? { ...report, file: out.path } : report, () =>
      out ? `Wrote ${out.path}` : writeReport(report, 'md').trimEnd(),
    );
  });
}

/** By the end of a file's name. @throws StudioError usage */
function formOf(path: string): ReportForm {
  const end = extname(path).slice(1).toLowerCase();
  const form = reportForms.find((known) => known === end);
  if (form) return form;
  if (end === 'png')
    throw usageError(
      `--out ${path}: the command line has nothing that draws bitmaps.`,
      'Give a name that ends in .svg (the same picture), or save PNG on the page: Evaluate, Compare, Report.',
    );
  throw usageError(
    `--out ${path}: the end of the name says no form of a report.`,
    `Give one that ends in ${reportForms.map((known) => `.${known}`).join(', ')}.`,
  );
}

function refuseExisting(path: string, mayOverwrite: boolean): void {
  if (!existsSync(path)) return;
  if (statSync(path).isDirectory())
    throw usageError(`--out ${path} is a folder.`, 'Give the name of a file.');
  if (mayOverwrite) return;
  throw new StudioError('name_taken', `${path} exists.`, 'Give another name, or --overwrite.');
}
