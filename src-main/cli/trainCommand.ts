import { readFileSync } from 'node:fs';
import type { DataContract, Run } from '../contract/entities.ts';
import { StudioError } from '../contract/errors.ts';
import { quantizationOf, type TrainConfig } from '../contract/training.ts';
import { optionsOver, readDocument, writeDocument, type ReadDocument } from '../options/trainingDocument.ts';
import { flatten } from '../options/trainingOptions.ts';
import { configText, configYaml, readConfigYaml } from '../options/trainingYaml.ts';
import type { EngineEvent } from '../engine/messages.ts';
import { nameOf, number, parseOptions, text, usageError } from './arguments.ts';
import { withCore, type CommandContext } from './commandContext.ts';
import { handOverText } from './modelCommands.ts';
import { createOutput, formatCount, type Output } from './output.ts';
import {
  type GivenOptions,
  givenOptions,
  givenRunOptions,
  noteIdleOptions,
  trainConfigFrom,
  trainOptions,
} from './trainingArguments.ts';

/**
 * train --model M --data D --method idlora --rank 8 ... --name RUN; train --config FILE.yaml;
 * train --from RUN --data D; train --resume RUN; train ... --hand-over DIR
 */
export async function trainCommand(args: readonly string[], command: CommandContext): Promise<void> {
  const values = parseOptions(args, {
    ...trainOptions,
    model: { type: 'string' },
    data: { type: 'string' },
    name: { type: 'string' },
    resume: { type: 'string' },
    from: { type: 'string' },
    'from-step': { type: 'string' },
    config: { type: 'string' },
    'print-config': { type: 'boolean' },
    force: { type: 'boolean' },
    'hand-over': { type: 'string' },
  });
  const resumed = text(values, 'resume');
  const from = text(values, 'from');
  for (const other of ['from', 'config', 'print-config', 'hand-over'])
    if (resumed !== undefined && values[other] !== undefined)
      throw usageError(
        `--${other} and --resume cannot go together: a resumed run has its configuration.`,
        'Give what is to change as options, for example --max-steps 400.',
      );
  const file = configFile(text(values, 'config'));
  const given = givenOptions(values);
  if (from !== undefined && values['print-config'] === true)
    throw usageError('--print-config and --from cannot go together: no file says where a run begins.');
  if (from !== undefined && values['hand-over'] !== undefined)
    throw usageError('--hand-over and --from cannot go together: a cluster begins with a fresh adapter.');
  if (from === undefined && values['from-step'] !== undefined)
    throw usageError('--from-step says which checkpoint --from means.');
  /** @param base the options of an adapter that is trained on, and how its base was kept */
  const configWith = (base: GivenOptions) => {
    const below = optionsOver(base, file);
    return trainConfigFrom({ ...below, ...givenOptions(values, below) });
  };
  const names = {
    model: text(values, 'model') ?? file.names.model,
    dataset: text(values, 'data') ?? file.names.dataset,
    run: nameOf(values, { otherwise: file.names.run }),
  };
  if (values['print-config'] === true) {
    const config = configWith({});
    const present = Object.fromEntries(Object.entries(names).filter(([, name]) => name !== undefined));
    createOutput(values['json'] === true).result(writeDocument(config, present), () =>
      configYaml(config, present).trimEnd(),
    );
    return;
  }
  const handOver = text(values, 'hand-over');
  await withCore(values, 'write', async ({ runs, cluster }, output) => {
    if (file.ignored.length > 0) output.progress(`Ignored in the file: ${file.ignored.join(', ')}`);
    const parent = from === undefined ? null : runs.get(from);
    // An adapter fits the base that it was trained on, also as that was rounded.
    const base = parent && { ...parent.config.adapter, baseWeights: quantizationOf(parent.config) };
    const config = resumed === undefined ? configWith(base ?? {}) : null;
    if (config && handOver !== undefined) {
      const training = trainingOf(config, names);
      noteIdleOptions(output, given, [flatten(config)], file.options);
      const made = await cluster.handOver({ training, folder: handOver }, command.signal);
      output.result(made, () => handOverText(made));
      return;
    }
    const watch = createWatcher(output);
    if (resumed !== undefined && runs.get(resumed).resumesAnew)
      output.progress('The run has kept no checkpoint: it begins anew, with the same seed.');
    const start = parent && { from: { run: parent.id, step: number(values, 'from-step') } };
    const { run, ended } = config
      ? await runs.start(
          {
            ...trainingOf(config, { ...names, model: names.model ?? parent?.modelId }),
            ...start,
            force: values['force'] === true,
          },
          watch,
        )
      : await runs.resume(resumed!, watch, givenRunOptions(values, flatten(runs.get(resumed!).config)), {
          force: values['force'] === true,
        });
    noteIdleOptions(output, given, [flatten(run.config)], file.options);
    if (config && run.config.context < config.context)
      output.progress(`Rows end after ${run.config.context} tokens: so many positions the model has.`);
    command.onInterrupt(() => {
      output.progress('Stopping after this step, with a checkpoint (Ctrl+C again: at once, without) ...');
      void runs.stop(run.id, { save: true });
    });
    const final = await ended;
    if (final.error) throw StudioError.fromPlain(final.error);
    report(final, output);
  });
}

/** What is to be trained, with a name of its own where none was given. */
function trainingOf(
  config: TrainConfig,
  { run, model, dataset }: { [K in 'run' | 'model' | 'dataset']: string | undefined },
) {
  return {
    name: run ?? `${config.adapter.method}-${Date.now().toString(36)}`,
    model: needed(model, 'model'),
    dataset: needed(dataset, 'data'),
    config,
  };
}

function needed(value: string | undefined, option: string): string {
  if (value === undefined) throw usageError(`--${option} is missing.`);
  return value;
}

/** What a file of --config says. @throws StudioError not_found, config_invalid (key, value and limit) */
function configFile(path: string | undefined): ReadDocument {
  if (path === undefined) return readDocument({});
  const read = readConfigYaml(configText(readFileSync(path)));
  if (read.problems.length > 0)
    throw new StudioError(
      'config_invalid',
      `${path}: ${read.problems.join(' ')}`,
      'Correct the values in the file, or give them as options.',
    );
  return read;
}

function report(run: Run, output: Output): void {
  const { name, state, step, trainable, lastLoss, lastHeldOutLoss, best, skippedSteps, endReason } = run;
  if (output.json)
    output.line({
      event: 'done',
      run: name,
      state,
      outcome: endReason,
      step,
      trainable,
      lastLoss,
      lastHeldOutLoss,
      bestStep: best?.step ?? null,
      bestHeldOutLoss: best?.loss ?? null,
      skippedSteps,
    });
  else {
    const heldOut =
      lastHeldOutLoss === null || best === null
        ? ''
        : `, held-out loss ${lastHeldOutLoss.toFixed(4)} (lowest ${best.loss.toFixed(4)} at step ${best.step})`;
    const skipped = skippedSteps === 0 ? '' : ` ${skippedSteps} steps were skipped.`;
    const early = endReason === 'early_stopped' ? ' It ended early: the held-out loss fell no more.' : '';
    output.result(
      null,
      () =>
        `Run "${name}" ${state} at step ${step}: loss ${lastLoss?.toFixed(4) ?? '–'} nats per token${heldOut}.${early}${skipped}`,
    );
  }
}

function packingText(packing: DataContract['packing']): string {
  return packing
    ? `, rows in ${formatCount(packing.packs)} packs (${(100 * packing.efficiency).toFixed(1)} % full)`
    : '';
}

/**
 * Prints a run's events: JSON lines, or short text.
 * @param run its name, for lines that several runs share
 */
export function createWatcher(output: Output, run?: string): (event: EngineEvent) => void {
  const named = run === undefined ? {} : { run };
  let printed = 0;
  let total = 0;
  return (event) => {
    if (output.json) {
      // A skipped step has neither loss nor norm: they were not finite, and JSON has no such numbers.
      if (event.type === 'skipped') {
        const { type: _type, ...rest } = event;
        output.line({ event: 'step', ...named, ...rest, skipped: true, loss: null, gradNorm: null });
      }
      if (['start', 'step', 'eval', 'sample', 'checkpoint', 'log'].includes(event.type)) {
        const { type, ...rest } = event;
        output.line({ event: type, ...named, ...rest });
      }
      return;
    }
    switch (event.type) {
      case 'start':
        total = event.totalSteps;
        output.progress(
          `${formatCount(event.trainable)} trainable parameters (${((100 * event.trainable) / event.base).toFixed(2)} % of the base), steps ${event.firstStep} to ${total}${packingText(event.packing)}`,
        );
        break;
      case 'step':
        if (Date.now() - printed < 1000 && event.step !== total) break;
        printed = Date.now();
        output.progress(
          `step ${event.step}/${total}  loss ${event.loss.toFixed(4)}  lr ${event.lr.toExponential(2)}  gradient norm ${event.gradNorm.toFixed(3)}  ${Math.round(event.tokensPerSecond)} tokens/s`,
        );
        break;
      case 'skipped':
        output.progress(`step ${event.step}/${total}  skipped: ${event.reason}`);
        break;
      case 'eval':
        output.progress(`step ${event.step}  held-out loss ${event.loss.toFixed(4)} (${event.rows} rows)`);
        break;
      case 'log':
        output.progress(event.line);
        break;
      default:
        break;
    }
  };
}
