import { examine } from '../services/machine/doctor.ts';
import { createEngineProbe } from '../services/machine/engineProbe.ts';
import { createEngineHost } from '../engine/process/supervisor.ts';
import { parseCommand } from './arguments.ts';
import { homeOf } from './commandContext.ts';
import { createOutput, formatTable } from './output.ts';

/** doctor [--fix] */
export async function doctorCommand(args: readonly string[]): Promise<void> {
  const { values } = parseCommand(args, { fix: { type: 'boolean' } });
  const output = createOutput(values['json'] === true);
  const engine = createEngineProbe(createEngineHost());
  let report = await examine(homeOf(values), engine);
  if (values['fix'] === true && report.checks.some(({ repairable }) => repairable)) {
    const { repairTensorflow } = await import('../setup/tensorflow/tensorflow.mjs');
    await repairTensorflow();
    report = await examine(homeOf(values), engine);
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
