import { cpSync, existsSync, mkdirSync, readdirSync, renameSync, rmdirSync, rmSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { HandedRun, HandOver } from '../../contract/cluster.ts';
import type { DataContract, Model, Run } from '../../contract/entities.ts';
import { StudioError } from '../../contract/errors.ts';
import { quantizationOf } from '../../contract/training.ts';
import { methodOf } from '../../methods/registry.ts';
import { commandLine } from '../../setup/paths.mjs';
import { syncFolder, writeFileAtomic } from '../../formats/files/atomicFile.ts';
import { identityOf } from '../../formats/model/identity.ts';
import type { HandOverResult } from '../../engine/protocol.ts';
import type { EngineEvent } from '../../engine/messages.ts';
import { newId, type ServiceContext } from '../context.ts';
import { prepareExportFolder } from '../exports/exportFolder.ts';
import { publicName } from '../exports/exports.ts';
import { writePythonPackage } from '../exports/pythonPackage.ts';
import { studioVersion } from '../machine/machine.ts';
import type { TrainingSource } from '../mixes/trainingSources.ts';
import { prepareTrainingData } from '../mixes/trainingData.ts';
import type { ReportPart } from '../progress.ts';

/** Bytes of tokens and text of one token, about. */
const bytesPerToken = 12;

/** train.py and what it imports beside the packages. */
const scripts = fileURLToPath(new URL('../../../resources/python/cluster/', import.meta.url));

/**
 * Writes a folder with which PyTorch trains a run elsewhere: complete or absent.
 * @throws StudioError name_taken, not_found or disk_full for a folder that cannot be written; and as training does
 */
export async function writeHandOver(
  context: ServiceContext,
  { run, model, source, folder }: { run: Run; model: Model; source: TrainingSource; folder: string },
  { signal, report }: { signal: AbortSignal; report: ReportPart },
): Promise<HandOver> {
  const { paths } = context;
  if (model.quantization !== null)
    throw new StudioError(
      'model_unsupported',
      `The weights of “${model.name}” are packed as ${model.quantization}, and are dequantized here as they are read: PyTorch would compute with others.`,
      'Hand over with the model that it was made from.',
    );
  const config = { ...run.config, context: Math.min(run.config.context, model.contextLength) };
  prepareExportFolder({ path: folder, format: 'merged', bytes: 0 });
  const data = await prepareTrainingData({
    model,
    node: source.node,
    datasetFolder: paths.datasets,
    config: run.config,
    cacheFolder: paths.cache,
    signal,
    onRows: (done, total) => report('Tokenizing the data', done, total),
  });
  const bytes = bytesPerToken * data.contract.tokens;
  prepareExportFolder({ path: folder, format: 'merged', bytes });
  const temporary = join(dirname(folder), `.${basename(folder)}.${newId()}.partial`);
  rmSync(temporary, { recursive: true, force: true });
  mkdirSync(temporary, { recursive: true });
  try {
    report('Writing the rows and the adapter');
    const result = await context.engine.start(
      {
        kind: 'handOver',
        modelFolder: model.folder,
        weightsSha256: model.contentHash,
        baseName: publicName(model),
        trainFile: data.trainFile,
        heldOutFile: data.heldOutFile,
        config,
        cacheFolder: paths.cache,
        outFolder: temporary,
      },
      {
        signal,
        onEvent: (event: EngineEvent) => {
          if (event.type === 'progress') report(event.label, event.done, event.total);
        },
      },
    ).result;
    const handed = handedRun({ ...run, config }, { model, contract: data.contract, result });
    writeTrainer(temporary, handed);
    // Empty, as it was when the work began: what somebody put there meanwhile stays.
    if (existsSync(folder)) rmdirSync(folder);
    renameSync(temporary, folder);
    syncFolder(dirname(folder));
    const files = filesBelow(folder);
    return {
      folder,
      files,
      totalSteps: result.totalSteps,
      rows: result.rows,
      heldOutRows: result.heldOutRows,
      sizeBytes: files.reduce((sum, name) => sum + statSync(join(folder, name)).size, 0),
      notes: differences(handed),
    };
  } catch (error) {
    rmSync(temporary, { recursive: true, force: true });
    throw error;
  }
}

function handedRun(
  run: Run,
  { model, contract, result }: { model: Model; contract: DataContract; result: HandOverResult },
): HandedRun {
  return {
    format: 'id-lora-studio run',
    version: 1,
    id: run.id,
    name: run.name,
    studio: studioVersion,
    createdAt: new Date().toISOString(),
    base: {
      name: publicName(model),
      sha256: result.baseSha256,
      identity: identityOf(model),
    },
    data: { id: run.datasetId!, name: run.datasetName, mix: run.mix, contract },
    config: run.config,
    totalSteps: result.totalSteps,
    trainable: result.trainable ?? model.parameters,
    frozenExtra: result.frozenExtra,
  };
}

/** Lays the script, its packages and what it reads of the run into a folder with rows and adapter. */
export function writeTrainer(folder: string, handed: HandedRun): void {
  writeFileAtomic(join(folder, 'run.json'), `${JSON.stringify(handed, null, 2)}\n`);
  for (const name of ['train.py', 'going_on.py']) cpSync(join(scripts, name), join(folder, name));
  writePythonPackage(folder);
  writeFileAtomic(join(folder, 'requirements.txt'), requirements(handed).join('\n'));
  writeFileAtomic(join(folder, 'README.md'), readme(handed));
}

function requirements({ config }: HandedRun): string[] {
  // From that version on, FSDP spreads frozen bf16 weights beside adapters in f32.
  const packages = ['torch>=2.8', 'transformers>=5.0', 'peft>=0.21', 'safetensors>=0.5'];
  return [...packages, ...(config.optimizer === 'adamw8bit' ? ['bitsandbytes>=0.45'] : []), ''];
}

/** What of a configuration PyTorch does in another way, so that the curve is not the studio's. */
export function differences({ config }: Pick<HandedRun, 'config'>): string[] {
  return [
    ...(config.adapter.dropout > 0
      ? [
          `Dropout (${config.adapter.dropout}) draws other random numbers there: the curve is another one of the same kind.`,
        ]
      : []),
    ...(quantizationOf(config) === 'none'
      ? []
      : [
          `The base is loaded as it is stored there, not rounded to ${config.loadIn4bit ? 4 : 8} bits as here.`,
        ]),
    ...(config.optimizer === 'adamw8bit'
      ? [
          'Adam’s moments in 8 bits are those of bitsandbytes there, which need a GPU and cannot be spread with --fsdp.',
        ]
      : []),
    ...(config.precision === 'bf16'
      ? ['bf16 is rounded at other places there: curves agree to about 1 %.']
      : []),
    ...(config.samples ? ['Sample prompts are not answered there.'] : []),
    ...(methodOf(config.adapter)?.routing ? ['How experts are used is not recorded there.'] : []),
  ];
}

function readme(handed: HandedRun): string {
  const { name, base, totalSteps, config, data } = handed;
  const notes = differences(handed);
  const isFull = config.adapter.method === 'full';
  return [
    `# ${JSON.stringify(name)}, to be trained by PyTorch`,
    '',
    `${totalSteps} steps of ${config.batch * config.accumulate} ${config.packing ? 'packs of rows' : 'rows'} on ${JSON.stringify(base.name)}, method ${config.adapter.method}. Rows, their order and the rate of each step are in rows.safetensors${isFull ? '' : ', and the adapter as it starts in start/'}: any number of GPUs does the same steps.`,
    '',
    '```sh',
    'pip install -r requirements.txt',
    `torchrun --nproc-per-node 8 train.py --base ${/^[\w./-]+$/.test(base.name) ? base.name : 'FOLDER'}`,
    '# accelerate launch train.py ...     the same through Accelerate',
    '# python train.py ...                one process; without a GPU it takes the CPU',
    '# --rows 1                           fewer rows in a forward pass, where memory is short: the same result',
    '# --fsdp                             the weights spread over the processes, for bases that one GPU does not hold;',
    '#                                    each process still reads the base into main memory first',
    '```',
    '',
    `--base takes a folder or a repository of the Hub. Its weights must be those with SHA-256 ${base.sha256}: the script checks folders and what the Hub’s cache holds.`,
    '',
    'It writes result/: the adapter (after full fine-tuning the model), curve.jsonl and result.json, anew with every checkpoint: of a job that is killed that much can be taken in.',
    '',
    'The same command goes on after a job that was killed: state.safetensors there has the trained numbers, the optimizer’s state, the step and the random numbers, every --save-every steps and when the job is told to end (SIGTERM). The curve is that of one job; with another number of processes dropout draws other numbers. --fresh begins anew. With --fsdp each process keeps the rows that it has, in a folder beside that file, and any number of processes goes on from them.',
    '',
    ...(commandLine === null
      ? ['Copy that folder back, and take it in on the page Export, under Cluster.', '']
      : [
          'Copy that folder back, and take it in on the page Export, under Cluster, or by:',
          '',
          '```sh',
          `${commandLine} runs import result`,
          '```',
          '',
        ]),
    '| file | what |',
    '| --- | --- |',
    '| run.json | the configuration, and on what the rows were made |',
    `| rows.safetensors | ${data.contract.trainRows} rows a pass as tokens, their order, and the learning rates |`,
    '| rows.jsonl | the same rows as text, for people |',
    ...(isFull ? [] : ['| start/ | the adapter before its first step, as PEFT lays it out |']),
    '| train.py, going_on.py, id_lora/ | the script and the methods that PEFT does not have |',
    ...(notes.length > 0
      ? ['', 'What is not as in the studio:', '', ...notes.map((note) => `- ${note}`)]
      : []),
    '',
  ].join('\n');
}

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name).slice(folder.length + 1))
    .sort();
}
