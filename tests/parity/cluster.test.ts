import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { handedRunSchema } from '../../src-main/contract/cluster.ts';
import { readCurve } from '../../src-main/services/cluster/curveFile.ts';
import { handOverTiny } from '../support/cluster/handedOver.ts';
import { expectWithin } from '../support/parity/parityBounds.ts';
import { curveErrors, handedCases, handedSteps, trainElsewhere } from '../support/cluster/handedCases.ts';
import { projectFolder, tinyLlama } from '../support/paths.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';
import { trainTiny } from '../support/trainingRun.ts';

/** `npm run parity` sets it: then PyTorch trains now, with two processes (gloo), and all methods. */
const python = process.env['ID_LORA_PARITY_PYTHON'];

/** What came back when it was recorded (generator/handed.ts). */
const recorded = join(projectFolder, 'tests', 'parity', 'recorded', 'cluster');

describe('a training that is handed over does the same steps in PyTorch', () => {
  it.each(handedCases.filter(({ isRecorded }) => isRecorded || python))(
    '$name: fifty steps',
    { timeout: 600_000 },
    async (handedCase) => {
      const { name, config } = handedCase;
      const folder = temporaryFolder();
      mkdirSync(join(folder, 'here'));
      let result = join(recorded, name);
      if (python) {
        const { folder: handed } = await handOverTiny({ config, folder, tasks: 1 });
        result = await trainElsewhere(python, { folder: handed, base: tinyLlama, case: handedCase });
      }
      const handed = handedRunSchema.parse(JSON.parse(readFileSync(join(result, 'run.json'), 'utf8')));
      // What was recorded is the training that is repeated here.
      expect(handed.config).toMatchObject(config);
      const { events } = await trainTiny({ config, folder: join(folder, 'here'), tasks: 1 });
      const theirs = readCurve(join(result, 'curve.jsonl'), handedSteps);
      expect(theirs.evals.map(({ step }) => step)).toEqual([20, 40, 50]);
      const errors = curveErrors(events, theirs);
      const isLow = config.precision === 'bf16';
      const curve = isLow ? 'loss curve, bf16' : 'loss curve';
      expectWithin(curve, `${name}, handed over`, errors.loss);
      if (!isLow) expectWithin('norm curve', `${name}, handed over`, errors.norm);
      expectWithin(curve, `${name}, handed over: held-out rows`, errors.heldOut);
      expect(errors.rate).toBeLessThan(1e-12);
    },
  );
});
