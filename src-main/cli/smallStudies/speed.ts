import type { Run } from '../../contract/entities.ts';
import { countParameters } from '../../budget/count.ts';
import type { Core } from '../../core/createCore.ts';
import type { StudyRecord } from '../../report/studyRecord.ts';
import { mean } from '../../statistics/seeds.ts';
import type { CommandContext } from '../commandContext.ts';
import type { Output } from '../output.ts';
import type { Material } from './made.ts';
import { aboutOf, type TrainedArm } from './recorded.ts';
import type { SmallStudy } from './studies.ts';

const rounds = 3;
const tokens = 160;

/**
 * Time of a token in greedy decoding of one row, in rounds of all in turn, so that other work on the machine meets all
 * alike. The adapters have made one step: they change next to nothing, so that all write the same text. None is merged.
 */
export async function speedRecord(
  core: Core,
  { study, material, arms }: { study: SmallStudy; material: Material; arms: TrainedArm[] },
  { signal }: CommandContext,
  output: Output,
): Promise<StudyRecord> {
  const subjects: { label: string; method: Run['config']['adapter']['method'] | null; run: Run | null }[] = [
    { label: 'Base model', method: null, run: null },
    ...arms.map(({ arm, runs }) => ({ label: arm.label, method: arm.adapter.method, run: runs[0]! })),
  ];
  const times = subjects.map(() => [] as number[]);
  for (let round = 0; round < rounds; round++) {
    output.progress(`Decoding, round ${round + 1} of ${rounds} ...`);
    for (const [i, { run }] of subjects.entries()) {
      const asked = { model: material.model.id, adapter: run?.id ?? null, prompt: 'A', maxTokens: tokens };
      const usual = { chat: null, temperature: 0, topP: 1, seed: 0, precision: 'f32' } as const;
      const { tokensPerSecond } = await core.generation.text({ ...asked, ...usual }, signal);
      times[i]!.push(1000 / tokensPerSecond);
    }
  }
  const best = times.map((own) => own.reduce((least, time) => Math.min(least, time)));
  const lora = best[1]!;
  const beside = subjects.map(({ run }) => {
    if (!run) return { numbers: 0, megabytes: 0 };
    const { trainable, adapterBytes } = countParameters(material.shape, run.config.adapter);
    return { numbers: trainable, megabytes: adapterBytes.f32 / 1e6 };
  });
  return {
    ...aboutOf(study, material),
    settings: `${rounds} rounds of ${tokens} tokens, one row, f32, adapters beside the base model`,
    seeds: [0],
    basis: `the shortest of ${rounds} rounds, and a line to their mean`,
    columns: [
      { key: 'time', label: 'Time of a token, ms', unit: 'milliseconds' },
      { key: 'size', label: 'Adapter in memory, MB', unit: 'megabytes' },
    ],
    arms: subjects.map(({ label, method }, i) => ({
      label,
      method,
      trainable: beside[i]!.numbers,
      cells: [
        // Other work only makes it longer: the shortest of all is the time, and the rest shows how much there was.
        { values: times[i]!, mean: best[i]!, interval: [best[i]!, mean(times[i]!)] },
        {
          values: [beside[i]!.megabytes],
          mean: beside[i]!.megabytes,
          interval: [beside[i]!.megabytes, beside[i]!.megabytes],
        },
      ],
    })),
    verdicts: subjects.map(({ label }, i) => ({
      column: 'time',
      first: label,
      second: subjects[1]!.label,
      paper: null,
      found: 'cannot_tell',
      sentence: `${label}: ${best[i]!.toFixed(2)} ms a token, ${(best[i]! / lora).toFixed(2)} times LoRA that is not merged.`,
    })),
  };
}
