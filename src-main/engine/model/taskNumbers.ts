import { StudioError } from '../../contract/errors.ts';
import type { AdapterConfig } from '../../contract/training.ts';
import type { RowSet } from '../../data/mix/rowPlan.ts';
import { methodOf } from '../../methods/registry.ts';

/**
 * Checks a task against those that an adapter knows (0 to `tasks`). Adapters that do not tell tasks apart take any.
 * @throws StudioError config_invalid with the range
 */
export function checkTask(adapter: AdapterConfig | null, task: number): void {
  if (!adapter || !readsTasks(adapter) || task <= adapter.tasks) return;
  throw new StudioError(
    'config_invalid',
    `Task ${task} is not among those of the adapter, 0 to ${adapter.tasks}.`,
    `Choose a task from 0 to ${adapter.tasks}, or train with ${task} tasks or more.`,
  );
}

/**
 * Checks the tasks of rows before they are trained on.
 * @throws StudioError config_invalid: a task that the adapter lacks, or several tasks and rows that name none
 */
export function checkTasks(adapter: AdapterConfig, files: readonly Pick<RowSet, 'tasks'>[]): void {
  if (!readsTasks(adapter)) return;
  const greatest = files.reduce((most, { tasks }) => tasks.reduce((a, b) => Math.max(a, b), most), 0);
  checkTask(adapter, greatest);
  if (adapter.tasks > 1 && greatest === 0)
    throw new StudioError(
      'config_invalid',
      `The gate tells ${adapter.tasks} tasks apart, but no row of the dataset has a task.`,
      'Give rows a whole number as "task" and import the dataset again, or set the number of tasks to 1.',
      { option: ['adapter', 'tasks'] },
    );
}

function readsTasks(adapter: AdapterConfig): boolean {
  return methodOf(adapter)?.readsTasks(adapter) ?? false;
}
