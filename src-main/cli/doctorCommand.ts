import { cardWords, createCards } from '../services/machine/cards.ts';
import { examine } from '../services/machine/doctor.ts';
import { createEngineProbe } from '../services/machine/engineProbe.ts';
import { createEngineHost } from '../engine/process/supervisor.ts';
import { parseOptions } from './arguments.ts';
import { homeOf } from './commandContext.ts';
import { createOutput, formatTable } from './output.ts';

/** doctor [--fix] */
export async function doctorCommand(args: readonly string[]): Promise<void> {
  const values = parseOptions(args, { fix: { type: 'boolean' } });
  const output = createOutput(values['json'] === true);
  const cards = createCards();
  const host = createEngineHost();
  const engine = createEngineProbe(host);
  // What another studio does on them it cannot know.
  const several = async () => {
    const found = await cards.find();
    return found.length > 1 ? cardWords(found, host) : null;
  };
  let report = await examine(homeOf(values), engine, several);
  if (values['fix'] === true && report.checks.some(({ repairable }) => repairable)) {
    const { repairTensorflow } = await import('../setup/tensorflow/tensorflow.mjs');
    await repairTensorflow();
    report = await examine(homeOf(values), engine, several);
  }
  output.result(report, () =>
    [
      formatTable(
        ['check', 'status', 'detail'],
        report.checks.map(({ name, status, detail }) => [name, status, detail]),
      ),
      ...report.checks.flatMap(({ name, remedy }) => (remedy === null ? [] : [`${name}: ${remedy}`])),
    ].join('\n'),
  );
  if (!report.ok) process.exitCode = 1;
}
