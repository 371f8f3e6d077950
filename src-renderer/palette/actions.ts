import { appearance, type Appearance } from '../state/appearance.svelte.ts';
import type { Studio } from '../state/studio.svelte.ts';
import { latestUndoable, undo } from '../state/toasts.svelte.ts';
import type { Command } from './commands.ts';
import { overlay } from '../state/overlay.svelte.ts';

/** What can be done now; an action that makes no sense at the moment is not offered. */
export function actionCommands(studio: Studio): Command[] {
  const action = (id: string, label: string, run: Command['run'], rest: Partial<Command> = {}): Command => ({
    id: `action ${id}`,
    group: 'Actions',
    label,
    run,
    ...rest,
  });
  const theme = (name: Appearance['theme'], label: string) =>
    action(`theme ${name}`, label, () => void (appearance.theme = name));
  const done = studio.runs.filter(({ state }) => state === 'done');
  const running = studio.running ? [studio.running] : [];
  const last = latestUndoable();
  return [
    ...running.map((run) =>
      action(`stop ${run.id}`, `Stop ${run.name} and save`, async () => {
        await studio.client.call('runs.stop', { run: run.id, save: true });
      }),
    ),
    ...(studio.queue.isHeld || studio.queue.waiting.length > 0
      ? [
          action('hold', studio.queue.isHeld ? 'Let the queue go on' : 'Hold the queue', async () => {
            await studio.client.call('runs.hold', { isHeld: !studio.queue.isHeld });
          }),
        ]
      : []),
    ...(last ? [action('undo', `Undo: ${last.text}`, () => undo(last.id), { keys: 'Ctrl Z' })] : []),
    action('new run', 'New run', '/train'),
    action('add model', 'Add a model', '/models'),
    action('add dataset', 'Add a dataset', '/data'),
    ...(done.length > 1
      ? [action('compare', 'Compare the last two runs', `/evaluate?a=${done[1]!.id}&b=${done[0]!.id}`)]
      : []),
    ...(done[0] ? [action('export', `Export ${done[0].name}`, `/export?run=${done[0].id}`)] : []),
    ...(appearance.theme === 'light' ? [] : [theme('light', 'Light theme')]),
    ...(appearance.theme === 'dark' ? [] : [theme('dark', 'Dark theme')]),
    ...(appearance.theme === 'system' ? [] : [theme('system', 'Theme as the system')]),
    appearance.contrast === 'more'
      ? action('contrast system', 'Contrast as the system', () => void (appearance.contrast = 'system'))
      : action('contrast more', 'High contrast', () => void (appearance.contrast = 'more')),
    action('check', 'Check this machine', '/settings'),
    // The palette closes after an action: the list of keys opens after that.
    action('keys', 'Keys of this page', () => void setTimeout(() => (overlay.open = 'keys')), { keys: '?' }),
  ];
}
