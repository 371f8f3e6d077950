import type { CheckReport } from './checkGpu.ts';
import type { CaseResult } from './partRunner.ts';
import type { TrainingFigures } from './training.ts';

const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(1)} GB`;
const count = (value: number) => (value < 100 ? value.toFixed(1) : Math.round(value).toLocaleString('en-US'));

/** Markdown as docs/performance.md has it. What was not made is named with its reason. */
export function performanceTable({ device, date, tensorflow, parts, left }: CheckReport): string {
  const figuresOf = (part: string) =>
    (parts.find(({ name }) => name === part)?.cases ?? []).filter(hasFigures);
  const trained = figuresOf('training');
  const said = (name: string) => figuresOf(name).map((found) => [found.name, found.figures] as const);
  const [rate, share] =
    device.peak === null
      ? ['TFLOP/s', '']
      : ['of the peak', ` of ${(device.peak / 1e12).toFixed(0)} TFLOP/s`];
  const head = [
    '',
    'tokens/s',
    's a step',
    'first step',
    rate,
    device.kind === 'gpu' ? 'memory of the card' : 'memory',
    'foreseen',
  ];
  const notes = [
    ...said('decoding')
      .filter(([, figures]) => typeof figures['tokensPerSecond'] === 'number')
      .map(([name, figures]) => `${name}: ${count(figures['tokensPerSecond'] as number)} tokens/s`),
    ...said('PMRC').map(
      ([name, figures]) =>
        `${name}: ${(figures['layerSeconds'] as number).toFixed(1)} s, so ${(figures['allSeconds'] as number).toFixed(0)} s for ${String(figures['layers'])}`,
    ),
    ...parts
      .filter(({ name }) => name === 'parity' || name === 'out of memory')
      .map(
        ({ name, cases }) =>
          `${name}: ${cases.filter(({ state }) => state === 'passed').length} of ${cases.length} passed`,
      ),
  ];
  const failed = parts
    .flatMap(({ cases }) => cases)
    .filter(({ state }) => state === 'failed')
    .map(({ name, reason }) => `${name} (${reason})`);
  const missing = left.map(({ name, state, reason }) => `${name} (${state}: ${reason})`);
  return [
    ...(device.kind === 'cpu'
      ? [`**Figures of a processor on tiny models: a rehearsal, no figures of a card.**`, '']
      : []),
    `${device.name}${device.driver ? `, driver ${device.driver}` : ''}, TensorFlow ${tensorflow}, ${date.slice(0, 10)}; LoRA, ID-LoRA and DoRA of rank 16, bf16, steps of 2,048 tokens`,
    `packed of four examples, random weights; medians of steps${share && `, share${share}`} without what checkpointing computes again:`,
    '',
    ...(trained.length > 0 ? [markdownTable([head, ...trained.map(rowOf)]), ''] : []),
    ...(notes.length > 0 ? [`${notes.join('. ')}.`] : []),
    ...(failed.length > 0 ? ['', `**Failed**: ${failed.join('; ')}.`] : []),
    ...(missing.length > 0 ? ['', `Not measured: ${missing.join('; ')}.`] : []),
  ].join('\n');
}

/** Columns as wide as their widest cell, as the formatter writes them. */
function markdownTable(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) =>
    rows.reduce((most, row) => Math.max(most, row[column]!.length), 3),
  );
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column]!)).join(' | ')} |`;
  const [head, ...body] = rows;
  return [line(head!), line(widths.map((width) => '-'.repeat(width))), ...body.map(line)].join('\n');
}

function rowOf({ name, figures }: WithFigures): string[] {
  const f = figures as unknown as TrainingFigures;
  return [
    name,
    count(f.tokensPerSecond),
    f.secondsPerStep.toFixed(3),
    `${f.firstStepSeconds.toFixed(1)} s`,
    f.shareOfPeak === null ? f.teraflops.toPrecision(2) : `${(100 * f.shareOfPeak).toFixed(0)} %`,
    f.memoryBytes === null ? 'not told' : gigabytes(f.memoryBytes),
    gigabytes(f.forecastBytes),
  ];
}

type WithFigures = CaseResult & { figures: Record<string, unknown> };

/** What failed was measured under a fault: no figure for a table. */
function hasFigures(result: CaseResult): result is WithFigures {
  return result.state === 'passed' && result.figures !== undefined;
}
