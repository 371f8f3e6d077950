/** Where a command's results go: JSON documents or text on stdout, progress on stderr. */
export interface Output {
  json: boolean;
  /** The command's result: printed as one document with --json, else as `human` says. */
  result(value: unknown, human: () => string): void;
  /** One line of JSON (train --json). */
  line(value: unknown): void;
  progress(text: string): void;
}

export function createOutput(json: boolean): Output {
  return {
    json,
    result: (value, human) => process.stdout.write(`${json ? JSON.stringify(value) : human()}\n`),
    line: (value) => process.stdout.write(`${JSON.stringify(value)}\n`),
    progress: (text) => process.stderr.write(`${text}\n`),
  };
}

/** Columns padded to their widest cell; numbers to the right. */
export function formatTable(headers: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = headers.map((header, c) =>
    rows.reduce((most, row) => Math.max(most, row[c]!.length), header.length),
  );
  const isNumeric = headers.map((_, c) =>
    rows.every((row) => /^[-−+<]?[\d.,]+( ?[%a-zA-Z]+)?$|^–?$/.test(row[c]!)),
  );
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, c) => (isNumeric[c] ? cell.padStart(widths[c]!) : cell.padEnd(widths[c]!)))
      .join('  ')
      .trimEnd();
  return [line(headers), widths.map((width) => '-'.repeat(width)).join('  '), ...rows.map(line)].join('\n');
}

export function formatCount(value: number): string {
  return value.toLocaleString('en-US');
}

export function formatBytes(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  const units = ['kB', 'MB', 'GB', 'TB'];
  let [value, unit] = [bytes / 1000, 0];
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${value.toPrecision(3)} ${units[unit]}`;
}

/** A score with the bounds of its 95 % interval; a perplexity of hardly any items has none that says something. */
export function formatScore(
  metric: 'accuracy' | 'perplexity',
  score: number,
  [low, high]: readonly [number, number],
): string {
  if (metric === 'perplexity' && high > 1000 * score) return score.toPrecision(4);
  const digits = 50 * (high - low) < 5 ? 1 : 0;
  const percent = (share: number) => (100 * share).toFixed(digits);
  return metric === 'accuracy'
    ? `${percent(score)} % (${percent(low)} to ${percent(high)})`
    : `${score.toPrecision(4)} (${low.toPrecision(4)} to ${high.toPrecision(4)})`;
}
