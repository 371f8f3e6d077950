import type { Run } from '../../contract/entities.ts';
import { missing } from '../../services/context.ts';
import { nameOf, none, only, parseCommand, text, usageError } from '../arguments.ts';
import { withCore, type CommandContext } from '../commandContext.ts';
import { formatCount, formatTable } from '../output.ts';

/**
 * adapters add FOLDER [--model M --name N], adapters download REPOSITORY [--revision R --model M --name N], adapters
 * inspect FOLDER, adapters list, adapters show N, adapters remove N
 */
export async function adaptersCommand(
  [action, ...args]: readonly string[],
  command: CommandContext,
): Promise<void> {
  const { values, positionals } = parseCommand(args, {
    model: { type: 'string' },
    name: { type: 'string' },
    revision: { type: 'string' },
  });
  const reading = ['list', 'show', 'inspect'].includes(action ?? '');
  await withCore(values, reading ? 'read' : 'write', async ({ adapters, runs }, output) => {
    const wish = { model: text(values, 'model'), name: nameOf(values) };
    const added = (run: Run) => output.result(run, () => addedText(run));
    const imported = (reference: string): Run => {
      const all = adapters.list();
      const found = all.find(({ id, name }) => [id, name].includes(reference));
      if (found) return found;
      throw missing(
        'imported adapter',
        reference,
        all.map(({ name }) => name),
      );
    };
    switch (action) {
      case 'add': {
        const folder = only(positionals, 'adapters add FOLDER');
        added(await adapters.add({ folder, ...wish }, command.signal));
        return;
      }
      case 'download': {
        const repository = only(positionals, 'adapters download ORGANISATION/NAME');
        const revision = text(values, 'revision');
        output.progress(`Downloading ${repository}. Ctrl+C stops; the same command goes on.`);
        const folder = await adapters.download({ repository, revision }, command.signal);
        added(await adapters.add({ folder, ...wish }, command.signal));
        return;
      }
      case 'inspect': {
        const found = adapters.inspect(only(positionals, 'adapters inspect FOLDER'));
        output.result(found, () => JSON.stringify(found, null, 2));
        return;
      }
      case 'list': {
        none(positionals);
        const all = adapters.list();
        output.result(all, () =>
          all.length === 0
            ? 'No adapters from elsewhere yet. Add one with: adapters add FOLDER'
            : formatTable(
                ['name', 'method', 'rank', 'trainable', 'base', 'from'],
                all.map((run) => [
                  run.name,
                  run.config.adapter.method,
                  String(run.config.adapter.rank),
                  run.trainable === null ? '–' : formatCount(run.trainable),
                  run.modelName,
                  run.imported?.source ?? '',
                ]),
              ),
        );
        return;
      }
      case 'show': {
        const run = imported(only(positionals, 'adapters show NAME'));
        output.result(run, () => JSON.stringify(run, null, 2));
        return;
      }
      case 'remove': {
        const name = only(positionals, 'adapters remove NAME');
        runs.remove(imported(name).id);
        output.result({ removed: name }, () => `Removed the adapter "${name}". Its folder stays.`);
        return;
      }
      default:
        throw usageError(
          `adapters: unknown action "${action ?? ''}"; there are add, download, inspect, list, show and remove.`,
        );
    }
  });
}

function addedText({ name, config, modelName, trainable, imported }: Run): string {
  const same = imported!.sameWeights;
  return [
    `Added the ${config.adapter.method} adapter "${name}" on ${modelName} (${formatCount(trainable!)} parameters).`,
    ...(same.length === 0
      ? []
      : [`Saved beside it and equal to the base, so not kept a second time: ${same.join(', ')}.`]),
    `Score it: eval --model ${modelName} --adapter ${name} --benchmark ...   Train on: train --from ${name} --data D`,
  ].join('\n');
}
