import type { LogLevel } from '../contract/entities.ts';

/** TensorFlow's lines begin with time and a letter: `2026-11-25 01:02:03.456789: W tensorflow/...`. */
const tensorflowLine = /^[\d-]+ [\d:.]+: ([IWEF]) /;
const tensorflowLevels: Readonly<Record<string, LogLevel>> = {
  I: 'info',
  W: 'warning',
  E: 'error',
  F: 'error',
};

/** How grave a line is that an engine's process printed. */
export function levelOf(line: string): LogLevel {
  const letter = tensorflowLine.exec(line)?.[1];
  if (letter !== undefined) return tensorflowLevels[letter]!;
  if (/^(\w*Error|Uncaught)\b/.test(line)) return 'error';
  return /\bwarning\b/i.test(line) ? 'warning' : 'info';
}
