import { readFileSync } from 'node:fs';

/**
 * Greatest resident memory of this process so far, TensorFlow and Node included, in bytes. Where the system tells of
 * this program alone (Linux), that is taken: what the process was forked from may have been larger.
 */
export function peakMemoryBytes(): number {
  try {
    const kilobytes = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
    if (kilobytes !== undefined) return Number(kilobytes) * 1024;
  } catch {
    // Not Linux.
  }
  return process.resourceUsage().maxRSS * 1024;
}
