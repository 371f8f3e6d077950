import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { handOverTiny } from '../../support/cluster/handedOver.ts';
import { handedCases, trainElsewhere } from '../../support/cluster/handedCases.ts';
import { tinyLlama } from '../../support/paths.ts';

/**
 * Records what two processes of PyTorch make of trainings that the studio hands over: a folder a case under
 * recorded/cluster, as it comes back, but for the weights of full fine-tuning. `npm run parity -- --record` calls it.
 *
 * Usage: node tests/parity/generator/handed.ts PYTHON RECORDED
 */
const [, , python, recorded] = process.argv;
for (const handedCase of handedCases.filter(({ isRecorded }) => isRecorded)) {
  const { name, config } = handedCase;
  const folder = mkdtempSync(join(tmpdir(), 'id-lora-handed-'));
  try {
    const { folder: handed } = await handOverTiny({ config, folder, tasks: 1 });
    const result = await trainElsewhere(python!, { folder: handed, base: tinyLlama, case: handedCase });
    rmSync(join(result, 'model'), { recursive: true, force: true });
    const place = join(recorded!, 'cluster', name);
    rmSync(place, { recursive: true, force: true });
    cpSync(result, place, { recursive: true });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
