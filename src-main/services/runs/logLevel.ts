import type { LogLevel } from '../../contract/runRecords.ts';

/**
 * TensorFlow's lines: `2026-11-25 01:02:03.456789: W tensorflow/...`, or `W0000 00:00:1795571914.504377 14374
 * port.cc:153] ...`.
 */
const tensorflowLine = /^(?:[\d-]+ [\d:.]+: ([IWEF]) |([IWEF])\d{4} [\d:.]+ )/;
const tensorflowLevels: Readonly<Record<string, LogLevel>> = {
  I: 'info',
  W: 'warning',
  E: 'error',
  F: 'error',
};

/** How grave a line is that an engine's process printed. */
export function levelOf(line: string): LogLevel {
  const found = tensorflowLine.exec(line);
  const letter = found?.[1] ?? found?.[2];
  if (letter !== undefined) return tensorflowLevels[letter]!;
  if (/^(\w*Error|Uncaught)\b/.test(line)) return 'error';
  return /\bwarning\b/i.test(line) ? 'warning' : 'info';
}
