import { dirname, join, relative } from 'node:path';
import { ESLint } from 'eslint';
import tseslint from 'typescript-eslint';
import { describe, expect, it } from 'vitest';
import { projectFolder } from '../support/paths.ts';

/**
 * The project's own linter on modules that do not exist: the rules look at a module's place and at what it imports, not
 * at types, so the checks that need a TypeScript program are off.
 */
const linter = new ESLint({
  cwd: projectFolder,
  overrideConfig: [{ files: ['**/*.ts'], ...tseslint.configs.disableTypeChecked }],
  ruleFilter: ({ ruleId }) => ruleId === 'studio/imports',
});

/** What the linter says about one module. One that cannot be parsed would be a mistake of this test. */
async function complaints(path: string, code: string): Promise<{ message: string; line: number }[]> {
  const filePath = join(projectFolder, path);
  const [result] = await linter.lintText(
    path.endsWith('.svelte') ? `<script lang="ts">${code}</script>` : code,
    {
      filePath,
    },
  );
  if (!result || result.fatalErrorCount > 0 || result.messages.some(({ ruleId }) => ruleId === null))
    throw new Error(`${path} was not linted: ${JSON.stringify(result?.messages)}`);
  return result.messages;
}

/** A module of each part of the main side, and packages that only some parts may use. */
const targets = {
  contract: 'src-main/contract/entities.ts',
  channel: 'src-main/channel/heartbeat.ts',
  methods: 'src-main/methods/lora.ts',
  statistics: 'src-main/statistics/normal.ts',
  shape: 'src-main/shape/modelShape.ts',
  options: 'src-main/options/schedule.ts',
  budget: 'src-main/budget/count.ts',
  formats: 'src-main/formats/files/safetensors.ts',
  data: 'src-main/data/rows.ts',
  evaluation: 'src-main/evaluation/gsm8k.ts',
  store: 'src-main/store/database.ts',
  runtime: 'src-main/engine/runtime/loadTensorflow.ts',
  graph: 'src-main/engine/graph/ops/linear.ts',
  protocol: 'src-main/engine/protocol.ts',
  jobContext: 'src-main/engine/jobContext.ts',
  model: 'src-main/engine/model/decoder.ts',
  adapters: 'src-main/engine/adapters/initialValues.ts',
  inference: 'src-main/engine/inference/generate.ts',
  training: 'src-main/engine/training/trainer.ts',
  bench: 'src-main/engine/bench/trainingBench.ts',
  supervisor: 'src-main/engine/process/supervisor.ts',
  jobs: 'src-main/engine/process/jobs.ts',
  services: 'src-main/services/runs/runs.ts',
  core: 'src-main/core/createCore.ts',
  commands: 'src-main/cli/trainCommand.ts',
  entry: 'src-main/cli.ts',
  shell: 'src-main/shell/window.ts',
  setup: 'src-main/setup/tensorflow/tensorflow.mjs',
  page: 'src-renderer/App.svelte',
  rpc: 'src-renderer/rpc/client.ts',
  state: 'src-renderer/state/pace.ts',
  ui: 'src-renderer/ui/format.ts',
  charts: 'src-renderer/charts/range.ts',
  fields: 'src-renderer/options/fields.ts',
  frame: 'src-renderer/frame/Page.svelte',
  machine: 'src-renderer/machine/MachineCheck.svelte',
  forecast: 'src-renderer/forecast/FitBadge.svelte',
  train: 'src-renderer/features/train/run/runLog.svelte.ts',
  evaluate: 'src-renderer/features/evaluate/jobs.svelte.ts',
  palette: 'src-renderer/palette/commands.ts',
  zod: 'zod',
  echarts: 'echarts',
  diff: 'diff',
  sqlite: 'better-sqlite3',
  electron: 'electron',
  files: 'node:fs',
} as const;
type Target = keyof typeof targets;

const all = Object.keys(targets) as Target[];
const except = (...kept: Target[]) => all.filter((target) => !kept.includes(target));

/** `target` as a module at `from` names it. */
function specifier(from: string, target: Target): string {
  const path = targets[target];
  if (!path.startsWith('src-')) return path;
  const way = relative(dirname(from), path);
  return way.startsWith('.') ? way : `./${way}`;
}

/** The targets that a module at `from` is refused, which imports one on each line. */
async function refusals(from: string, candidates: readonly Target[]): Promise<Target[]> {
  const code = candidates.map((target) => `import '${specifier(from, target)}';`).join('\n');
  const lines = (await complaints(from, code)).map(({ line }) => line);
  return candidates.filter((_, i) => lines.includes(i + 1));
}

const world = ['store', 'services', 'core', 'commands', 'entry', 'shell', 'setup', 'page'] as const;
const features = ['train', 'evaluate', 'palette'] as const;
const shown = ['charts', 'fields', 'frame', 'machine'] as const;
/** The parts of the page, from the lowest. */
const pageParts = ['rpc', 'state', 'ui', ...shown, 'forecast', ...features, 'page'] as const;
const pagePackages = ['echarts', 'diff'] as const;
/** What the page computes with. */
const countable = ['contract', 'methods', 'shape', 'options', 'budget'] as const;
const pageMay = ['contract', 'statistics', 'shape', 'options', 'budget'] as const;
const featureMay = [...pageMay, 'rpc', 'state', 'ui', ...shown, 'forecast'] as const;
const engineWorld = ['budget', 'evaluation', ...world, 'electron', 'sqlite'] as const;
/** The rooms of the engine, from the lowest. */
const engineInside = [
  'runtime',
  'graph',
  'jobContext',
  'model',
  'adapters',
  'inference',
  'training',
  'bench',
  'jobs',
] as const;

/** What the design refuses to each part. */
const refused: [from: string, targets: readonly Target[]][] = [
  ['src-main/contract/new.ts', except('contract', 'zod')],
  ['src-main/methods/new.ts', except('contract', 'methods')],
  ['src-main/statistics/new.ts', except('contract', 'statistics')],
  ['src-main/shape/new.ts', except('contract', 'methods', 'shape', 'zod')],
  ['src-main/options/new.ts', except('contract', 'methods', 'shape', 'options', 'zod')],
  ['src-main/budget/new.ts', except(...countable, 'zod')],
  ['src-main/budget/deeper/new.ts', except(...countable, 'zod')],
  [
    'src-main/formats/new.ts',
    ['options', 'budget', 'evaluation', ...engineInside, ...world, 'electron', 'sqlite'],
  ],
  ['src-main/data/new.ts', ['budget', 'evaluation', ...engineInside, ...world, 'electron', 'sqlite']],
  ['src-main/evaluation/new.ts', ['budget', ...engineInside, ...world, 'electron', 'sqlite']],
  [
    'src-main/store/new.ts',
    [
      'shape',
      'options',
      'budget',
      ...engineInside,
      'services',
      'core',
      'commands',
      'entry',
      'shell',
      'page',
      'electron',
    ],
  ],
  // The rooms of the engine stand on each other in this order.
  ['src-main/engine/runtime/new.ts', except('contract', 'graph', 'runtime', 'files', 'zod')],
  [
    'src-main/engine/model/new.ts',
    [...engineWorld, 'protocol', ...engineInside.filter((part) => part !== 'graph' && part !== 'model')],
  ],
  ['src-main/engine/adapters/new.ts', [...engineWorld, 'protocol', 'inference', 'training', 'bench', 'jobs']],
  ['src-main/engine/inference/new.ts', [...engineWorld, 'training', 'bench', 'jobs']],
  ['src-main/engine/training/deeper/new.ts', [...engineWorld, 'bench', 'jobs']],
  ['src-main/engine/bench/new.ts', [...engineWorld, 'jobs']],
  ['src-main/engine/process/new.ts', engineWorld],
  ['src-main/engine/graph/new.ts', except('graph', 'files')],
  ['src-main/engine/graph/ops/new.ts', except('graph', 'files')],
  [
    'src-main/services/new.ts',
    [...engineInside, 'core', 'commands', 'entry', 'shell', 'setup', 'page', 'electron'],
  ],
  ['src-main/services/demo/new.ts', [...engineInside, 'core', 'commands', 'entry', 'shell', 'setup', 'page']],
  ['src-main/channel/new.ts', except('contract', 'channel')],
  ['src-main/shell/new.ts', except('shell', 'contract', 'channel', 'core', 'electron', 'files', 'zod')],
  ['src-renderer/new.ts', except(...pageMay, ...pageParts, 'zod')],
  ['src-renderer/rpc/new.ts', except('contract', 'channel', 'rpc', 'zod')],
  ['src-renderer/state/new.ts', except(...pageMay, 'rpc', 'state', 'zod')],
  ['src-renderer/ui/New.svelte', except(...pageMay, 'rpc', 'state', 'ui', 'diff')],
  ['src-renderer/charts/New.svelte', except(...pageMay, 'rpc', 'state', 'ui', 'charts', 'echarts')],
  ['src-renderer/options/new.ts', except(...pageMay, 'rpc', 'state', 'ui', 'fields', 'zod')],
  ['src-renderer/frame/New.svelte', except(...pageMay, 'rpc', 'state', 'ui', 'frame')],
  ['src-renderer/machine/New.svelte', except(...pageMay, 'rpc', 'state', 'ui', 'machine')],
  ['src-renderer/forecast/New.svelte', except(...pageMay, 'rpc', 'state', 'ui', ...shown, 'forecast')],
  ['src-renderer/features/train/form/New.svelte', except(...featureMay, 'train')],
  ['src-renderer/features/evaluate/new.ts', except(...featureMay, 'evaluate')],
  ['src-renderer/features/novelty/new.ts', except(...featureMay)],
  ['src-renderer/palette/new.ts', except(...featureMay, 'palette')],
];

/** What each part lives on: a rule that refuses it would be switched off soon. */
const granted: [from: string, targets: readonly Target[]][] = [
  ['src-main/contract/new.ts', ['contract', 'zod']],
  ['src-main/methods/new.ts', ['contract', 'methods']],
  ['src-main/statistics/new.ts', ['contract', 'statistics']],
  ['src-main/shape/new.ts', ['contract', 'methods', 'shape', 'zod']],
  ['src-main/options/new.ts', ['contract', 'methods', 'shape', 'options', 'zod']],
  ['src-main/budget/new.ts', [...countable, 'zod']],
  ['src-main/formats/new.ts', ['contract', 'methods', 'shape', 'files']],
  ['src-main/data/new.ts', ['contract', 'formats', 'files']],
  ['src-main/evaluation/new.ts', ['contract', 'data', 'formats']],
  ['src-main/store/new.ts', ['contract', 'sqlite', 'files']],
  [
    'src-main/engine/model/new.ts',
    ['contract', 'methods', 'shape', 'options', 'formats', 'graph', 'model', 'files'],
  ],
  ['src-main/engine/training/new.ts', ['contract', 'data', 'model', 'adapters', 'inference', 'jobContext']],
  ['src-main/engine/graph/ops/new.ts', ['graph', 'files']],
  [
    'src-main/services/new.ts',
    ['contract', 'budget', 'formats', 'data', 'evaluation', 'store', 'protocol', 'supervisor', 'files'],
  ],
  ['src-main/channel/new.ts', ['contract']],
  ['src-main/shell/new.ts', ['contract', 'channel', 'electron', 'files']],
  ['src-main/core/new.ts', except(...pageParts, ...pagePackages, 'electron', 'sqlite')],
  ['src-main/cli/new.ts', except(...pageParts, ...pagePackages, 'electron', 'sqlite')],
  ['src-main/cli.ts', except(...pageParts, ...pagePackages, 'electron', 'sqlite')],
  ['src-renderer/App.svelte', [...pageMay, ...pageParts, 'zod']],
  ['src-renderer/features/train/new.ts', [...featureMay, 'train']],
  ['src-renderer/features/train/form/New.svelte', [...featureMay, 'train']],
  ['src-renderer/features/novelty/new.ts', featureMay],
  ['src-renderer/palette/New.svelte', [...featureMay, 'palette']],
];

describe('the linter refuses what the design refuses', () => {
  it.each(refused)('%s', async (from, targets) => {
    expect(await refusals(from, targets)).toEqual(targets);
  });

  const forms = {
    'import of a type': (path: string) => `import type { A } from '${path}';\nexport type B = A;`,
    're-export': (path: string) => `export { a } from '${path}';`,
    're-export of everything': (path: string) => `export * from '${path}';`,
    'import at run time': (path: string) => `await import('${path}');`,
    'type of an import': (path: string) => `export type B = import('${path}').A;`,
  };
  it.each(Object.entries(forms))('as %s', async (_, code) => {
    for (const [from, target] of [
      ['src-main/contract/new.ts', 'files'],
      ['src-main/budget/new.ts', 'formats'],
      ['src-main/engine/graph/new.ts', 'model'],
      ['src-main/engine/training/new.ts', 'store'],
      ['src-main/services/new.ts', 'training'],
      ['src-main/shell/new.ts', 'services'],
      ['src-renderer/new.ts', 'services'],
    ] as const)
      expect(await complaints(from, code(specifier(from, target))), `${from} -> ${target}`).not.toEqual([]);
  });
});

it('a folder without rules is refused everything, and complaints say where the rules are', async () => {
  expect(await complaints('src-main/novelty/new.ts', `import '../contract/errors.ts';`)).toEqual([
    expect.objectContaining({ message: expect.stringContaining('eslint.importRules.js') as string }),
  ]);
});

describe('the linter grants what each part lives on', () => {
  it.each(granted)('%s', async (from, targets) => {
    expect(await refusals(from, targets)).toEqual([]);
  });
});

it.each([
  ['machine/new.ts', 'runs/runs.ts', false],
  ['models/new.ts', 'runs/runs.ts', false],
  ['runs/new.ts', 'plan/forecasts.ts', false],
  ['plan/new.ts', 'runs/runs.ts', true],
  ['exports/new.ts', 'runs/runs.ts', true],
  ['runs/new.ts', 'context.ts', true],
])('a room of the services imports only those before it: %s -> %s', async (from, target, isGranted) => {
  const said = await complaints(`src-main/services/${from}`, `import '../${target}';`);
  expect(said.length === 0).toBe(isGranted);
});
