import { expect, it } from 'vitest';
import { levelOf } from '../../../src-main/services/runs/logLevel.ts';

it.each([
  ['2026-11-25 01:02:03.456789: W tensorflow/core/framework/op.cc:1] odd', 'warning'],
  ['2026-11-25 01:02:03.456789: I tensorflow/core/util/port.cc:1] an error is no error here', 'info'],
  ['2026-11-25 01:02:03.456789: F tensorflow/core/x.cc:1] check failed', 'error'],
  ['W0000 00:00:1795571914.504377   14374 port.cc:153] an old driver', 'warning'],
  ['I0000 00:00:1795571914.504377   14374 port.cc:153] oneDNN custom operations are on.', 'info'],
  ['TypeError: x is not a function', 'error'],
  ['(node:12) Warning: deprecated', 'warning'],
  ['step 12 of 40', 'info'],
] as const)('%s', (line, level) => {
  expect(levelOf(line)).toBe(level);
});
