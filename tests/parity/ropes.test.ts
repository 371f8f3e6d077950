import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { rotaryFrequencies, rotaryMagnitude } from '../../src-main/engine/model/rotary.ts';
import { readDecoderConfig } from '../../src-main/formats/families/huggingFaceConfig.ts';
import { recorded } from '../support/paths.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

/** What transformers makes of rope keys (generator/ropes.py). */
const cases = JSON.parse(readFileSync(join(recorded, 'ropes.json'), 'utf8')) as {
  name: string;
  config: Record<string, unknown>;
  texts: { length: number; ropes: { frequencies: number[]; magnitude: number }[] }[];
}[];

it.each(cases)("$name: frequencies equal transformers' in f32", ({ config, texts }) => {
  const folder = temporaryFolder();
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
  const { ropes } = readDecoderConfig(folder);
  for (const { length, ropes: expected } of texts) {
    expect(ropes.length).toBe(expected.length);
    ropes.forEach((rope, i) => {
      const actual = rotaryFrequencies(rope, length);
      expect(actual.length).toBe(expected[i]!.frequencies.length);
      // At most the last bits: PyTorch's power function is not always the nearest f32.
      expected[i]!.frequencies.forEach((frequency, j) =>
        expect(Math.abs(actual[j]! / frequency - 1), `frequency ${j} at length ${length}`).toBeLessThan(5e-7),
      );
      expect(rotaryMagnitude(rope)).toBeCloseTo(expected[i]!.magnitude, 6);
    });
  }
});
