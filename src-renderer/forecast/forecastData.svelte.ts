import type { Calibration, RowLengths } from '../../src-main/contract/forecast.ts';
import type { ProcedureInput } from '../../src-main/contract/procedures.ts';
import type { TrainConfig } from '../../src-main/contract/training.ts';
import { Action } from '../state/action.svelte.ts';
import type { Studio } from '../state/studio.svelte.ts';

/** What forecasts rest on, as far as it is known: absent values come when the core has answered. */
export interface ForecastData {
  readonly calibration: Calibration | null;
  readonly lengths: RowLengths | null;
}

/**
 * Reads what was measured on this machine, anew whenever a run or a probe has ended, and the token lengths of the
 * chosen data through the template of the run. To be called where a component is made.
 */
export function forecastData(
  studio: Studio,
  chosen: () => { model: string; dataset: string; config: TrainConfig | null } | null,
): ForecastData {
  const data = $state<{ calibration: Calibration | null; lengths: RowLengths | null }>({
    calibration: null,
    lengths: null,
  });
  const measured = $derived(studio.runs.filter((run) => run.measured !== null).length + probesDone.count);
  const key = $derived.by(() => {
    const what = chosen();
    if (!what) return null;
    const { model, dataset, config } = what;
    const input: ProcedureInput<'plan.lengths'> = { model, dataset };
    if (config) {
      const { template, templateSource, system, trainOn } = config;
      input.rendering = { template, templateSource, system, trainOn };
    }
    return JSON.stringify(input);
  });

  // Only hints: where they cannot be had, the forecast says less.
  $effect(() => {
    void measured;
    let isOld = false;
    void studio.client
      .call('plan.calibration', {})
      .then((calibration) => {
        if (!isOld) data.calibration = calibration;
      })
      .catch(() => undefined);
    return () => (isOld = true);
  });
  $effect(() => {
    data.lengths = null;
    if (key === null) return;
    const controller = new AbortController();
    void studio.client
      .call('plan.lengths', JSON.parse(key) as ProcedureInput<'plan.lengths'>, {
        signal: controller.signal,
      })
      .then((lengths) => {
        if (!controller.signal.aborted) data.lengths = lengths;
      })
      .catch(() => undefined);
    return () => controller.abort();
  });
  return data;
}

/** The probe that is under way or came last: it goes on when the page is left. */
export const probing = new Action();
/** Probes that have ended: what was measured is then read anew. */
const probesDone = $state({ count: 0 });

export async function startProbe(studio: Studio, input: ProcedureInput<'plan.probe'>): Promise<void> {
  if (probing.isBusy) return;
  await probing.run('The steps were not measured.', (signal) =>
    studio.client.call('plan.probe', input, { signal }),
  );
  probesDone.count++;
}
