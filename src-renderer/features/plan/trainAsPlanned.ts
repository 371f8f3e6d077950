import type { Model } from '../../../src-main/contract/entities.ts';
import { fillTrainForm } from '../../options/fillTrainForm.ts';
import type { TrainForm } from '../../options/trainForm.ts';
import { navigate } from '../../state/router.svelte.ts';
import { planName, type PlanForm } from './planForm.ts';

/** What a plan says of an adapter; a rank that is not typed yet leaves the one that Train has. */
type PlannedAdapter = Pick<
  PlanForm,
  'method' | 'rank' | 'targets' | 'clusters' | 'boost' | 'router' | 'heads' | 'experts' | 'gate' | 'tasks'
>;

/**
 * Opens Train with a planned adapter, on the model that it is planned for: on none where the library does not have that
 * one, as no other has these numbers.
 */
export function trainAsPlanned(
  { plan, models }: { plan: PlanForm; models: readonly Model[] },
  { method, rank, targets, clusters, boost, router, heads, experts, gate, tasks }: PlannedAdapter,
  rest: Partial<TrainForm>,
): void {
  const model = models.find(({ id }) => plan.model === `model ${id}`);
  fillTrainForm(
    {
      method,
      targets: [...targets],
      clusters,
      boost,
      router,
      heads,
      experts,
      gate,
      tasks,
      ...(rank === null ? {} : { rank, alpha: 2 * rank }),
      ...(model ? { modelId: model.id } : {}),
      ...rest,
    },
    model ? null : planName(plan),
  );
  navigate('/train');
}
