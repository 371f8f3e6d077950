import { expect, it } from 'vitest';
import type { Dataset, Model, Run } from '../../../../src-main/contract/entities.ts';
import { nextStep } from '../../../../src-renderer/features/home/nextStep.ts';
import { sampleEvaluation } from '../../../support/sampleEvaluation.ts';
import { sampleRun } from '../../../support/sampleRun.ts';

const library = { models: [{ unusable: null } as Model], datasets: [{} as Dataset], evaluations: [] };
const titleOf = (runs: readonly Run[]) => nextStep({ ...library, runs }).title;
const done = sampleRun({ name: 'done' });
const stopped = sampleRun({ name: 'stopped', state: 'stopped', step: 4 });

it('takes a run that was stopped on the way for one that can be compared', () => {
  expect(titleOf([done])).toBe('Train a second run to compare with');
  // Not the same once more: the other method, with as many parameters.
  expect(nextStep({ ...library, runs: [done] }).href).toBe(`/train?after=${done.id}`);
  expect(titleOf([done, stopped])).toBe('Is the difference real?');
  const evaluations = [done, stopped].map(({ id }) => sampleEvaluation({ runId: id }));
  expect(nextStep({ ...library, runs: [done, stopped], evaluations }).position).toBe('Next');
});

it('asks for a first adapter where runs failed or were stopped before their first step', () => {
  const failed = sampleRun({ name: 'failed', state: 'failed' });
  expect(titleOf([failed, { ...stopped, step: 0 }])).toBe('Train a first adapter');
});
