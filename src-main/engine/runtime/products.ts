import { readFileSync } from 'node:fs';
import type { Products } from '../graph/graph.ts';

/**
 * How bf16 matrices are best multiplied on this machine: on a GPU, and on a processor with AMX, by kernels for bf16; on
 * any other processor in f32, which is up to three times faster there. Decided by what the processor says of itself and
 * not by a measurement, so that a run computes the same numbers each time.
 */
export function productsFor(devices: readonly string[], processorInfo = readProcessorInfo()): Products {
  return devices.includes('gpu') || /\bamx_bf16\b/.test(processorInfo) ? 'native' : 'widened';
}

function readProcessorInfo(): string {
  try {
    return readFileSync('/proc/cpuinfo', 'utf8');
  } catch {
    // Not Linux: nothing is known of matrix units there.
    return '';
  }
}
