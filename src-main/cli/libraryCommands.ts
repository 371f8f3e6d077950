import { nameOf, none, only, parseCommand, text, usageError } from './arguments.ts';
import { type CommandContext, withCore } from './commandContext.ts';
import { formatBytes, formatCount, formatTable } from './output.ts';

/**
 * models add FOLDER-or-FILE.gguf [--name N --copy], models download REPOSITORY [--revision R --name N], models list,
 * models show N, models remove N
 */
export async function modelsCommand(
  [action, ...args]: readonly string[],
  command: CommandContext,
): Promise<void> {
  const { values, positionals } = parseCommand(args, {
    name: { type: 'string' },
    copy: { type: 'boolean' },
    revision: { type: 'string' },
  });
  const reading = action === 'list' || action === 'show';
  await withCore(values, reading ? 'read' : 'write', async ({ models, downloads }, output) => {
    switch (action) {
      case 'add': {
        const folder = only(positionals, 'models add FOLDER or FILE.gguf');
        const model = await models.add(
          { folder, name: nameOf(values), copy: values['copy'] === true },
          command.signal,
        );
        output.result(
          model,
          () => `Added the model "${model.name}" (${formatCount(model.parameters)} parameters).`,
        );
        return;
      }
      case 'download': {
        const repository = only(positionals, 'models download REPOSITORY');
        const { download, ended } = await downloads.start(
          { repository, revision: text(values, 'revision'), name: nameOf(values) },
          command.signal,
        );
        output.progress(
          `Downloading ${download.repository} (${formatBytes(download.totalBytes - download.doneBytes)}). Ctrl+C stops; the same command goes on.`,
        );
        command.onInterrupt(() => void downloads.cancel(download.id));
        const model = await ended;
        output.result(
          model,
          () => `Downloaded the model "${model.name}" (${formatCount(model.parameters)} parameters).`,
        );
        return;
      }
      case 'list': {
        none(positionals);
        const all = models.list();
        output.result(all, () =>
          all.length === 0
            ? 'No models yet. Add one with: models add FOLDER'
            : formatTable(
                ['name', 'family', 'parameters', 'dtype', 'context', 'size', 'folder'],
                all.map((m) => [
                  m.name,
                  m.family,
                  formatCount(m.parameters),
                  m.quantization ? `${m.quantization} as ${m.dtype}` : m.dtype,
                  formatCount(m.contextLength),
                  formatBytes(m.sizeBytes),
                  m.folder,
                ]),
              ),
        );
        return;
      }
      case 'show': {
        const model = models.get(only(positionals, 'models show NAME'));
        output.result(model, () => JSON.stringify(model, null, 2));
        return;
      }
      case 'remove': {
        const name = only(positionals, 'models remove NAME');
        models.remove(name);
        output.result({ removed: name }, () => `Removed the model "${name}".`);
        return;
      }
      default:
        throw usageError(
          `models: unknown action "${action ?? ''}"; there are add, download, list, show and remove.`,
        );
    }
  });
}

/** runs list, runs show RUN, runs import FOLDER [--name N --model M], runs queue, runs remove RUN */
export async function runsCommand(
  [action, ...args]: readonly string[],
  command: CommandContext,
): Promise<void> {
  const { values, positionals } = parseCommand(args, {
    name: { type: 'string' },
    model: { type: 'string' },
  });
  const writes = action === 'remove' || action === 'import';
  await withCore(values, writes ? 'write' : 'read', async ({ runs, cluster }, output) => {
    switch (action) {
      case 'list': {
        none(positionals);
        const all = runs.list();
        output.result(all, () =>
          all.length === 0
            ? 'No runs yet. Start one with: train --model M --data D --method idlora --rank 8 --name RUN'
            : formatTable(
                ['name', 'state', 'method', 'rank', 'trainable', 'step', 'recent loss', 'model', 'data'],
                all.map((run) => [
                  run.name,
                  run.state,
                  run.config.adapter.method,
                  String(run.config.adapter.rank),
                  run.trainable === null ? '–' : formatCount(run.trainable),
                  `${run.step}/${run.totalSteps ?? '?'}`,
                  run.recentLoss?.toFixed(4) ?? '–',
                  run.modelName,
                  run.datasetName,
                ]),
              ),
        );
        return;
      }
      case 'show': {
        const run = runs.get(only(positionals, 'runs show RUN'));
        const shown = { ...run, curves: runs.curves(run.id) };
        output.result(shown, () => JSON.stringify(shown, null, 2));
        return;
      }
      case 'import': {
        const folder = only(positionals, 'runs import FOLDER');
        const request = { folder, name: nameOf(values), model: text(values, 'model') };
        const run = await cluster.takeBack(request, command.signal);
        output.result(
          run,
          () =>
            `Took in the run "${run.name}": ${run.step} of ${run.totalSteps} steps, loss ${run.lastLoss?.toFixed(4) ?? '–'}. ${run.notes}`,
        );
        return;
      }
      case 'queue': {
        const { isHeld, waiting } = runs.queue.state();
        const names = waiting.map(({ name }, i) => `${i + 1}. ${name}`);
        output.result({ isHeld, waiting }, () =>
          names.length === 0
            ? 'No run waits.'
            : [...names, ...(isHeld ? ['The queue is held.'] : [])].join('\n'),
        );
        return;
      }
      case 'remove': {
        const name = only(positionals, 'runs remove RUN');
        runs.remove(name);
        output.result({ removed: name }, () => `Removed the run "${name}".`);
        return;
      }
      default:
        throw usageError(
          `runs: unknown action "${action ?? ''}"; there are list, show, import, queue and remove.`,
        );
    }
  });
}
