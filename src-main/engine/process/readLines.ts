import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';

/**
 * Calls `onLine` with every line that a process prints, the last one also where no line end follows it: so end messages
 * of a crash. A letter or a line that comes in two parts stays one.
 */
export function readLines(stream: Readable, onLine: (line: string) => void): void {
  // A pipe that breaks has no more lines; without a listener its error would end this process.
  stream.on('error', () => undefined);
  createInterface({ input: stream, crlfDelay: Infinity }).on('line', onLine);
}
