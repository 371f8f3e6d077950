import { isBuiltin } from 'node:module';
import { dirname, relative, resolve, sep } from 'node:path';

const main = (...names) => names.map((name) => `src-main/${name}`);
const page = (...names) => names.map((name) => `src-renderer/${name}`);

/** What the page computes with, what each part of it stands on, and what pages are made of. */
const computed = main(
  'contract',
  'statistics',
  'shape',
  'options',
  'budget',
  'formats/families/readShape.ts',
);
const base = page('rpc', 'state', 'ui');
const shown = page('charts', 'options', 'frame', 'machine', 'hub');

const engine = (...names) => names.map((name) => `engine/${name}`);

/** What every job of the engine may use, whatever it computes. */
const engineJob = [
  ...['contract', 'methods', 'statistics', 'shape', 'options', 'formats', 'data'],
  ...engine('protocol.ts', 'messages.ts', 'jobContext.ts', 'runtime'),
];
// A service that reached into the engine would load TensorFlow into the core, which must outlive it.
const services = {
  parts: [
    ...main(
      'contract',
      'methods',
      'statistics',
      'shape',
      'options',
      'budget',
      'formats',
      'data',
      'evaluation',
      'report',
      'store',
    ),
    ...main(
      'engine/protocol.ts',
      'engine/messages.ts',
      'engine/process/readLines.ts',
      'engine/process/supervisor.ts',
    ),
    // What GPU the pinned TensorFlow can use, and why it could not be provided: known to the set-up alone.
    'src-main/setup/tensorflow/gpu.mjs',
    'src-main/setup/tensorflow/failure.mjs',
    // What kind of installation this is, and how its command line is called.
    'src-main/setup/paths.mjs',
  ],
  packages: ['node', 'zod'],
};
/** What all rooms of the services stand on, and the rooms: each may import those before it. */
const serviceBase = ['context', 'homePaths', 'eventHub', 'progress', 'trash'];
const serviceOrder =
  'machine tokenizer data models hubDatasets mixes statistics projects runs adapters plan evaluations chat exports cluster'.split(
    ' ',
  );
const serviceRooms = Object.fromEntries(
  serviceOrder.map((room, i) => [
    `src-main/services/${room}`,
    {
      parts: [
        ...services.parts,
        ...main(...serviceBase.map((name) => `services/${name}.ts`)),
        ...main(...serviceOrder.slice(0, i).map((name) => `services/${name}`)),
      ],
      packages: services.packages,
    },
  ]),
);

/**
 * What each part may import besides itself: other parts (folders or single files), and packages (`node` stands for
 * Node's own modules). What is not named is refused. A folder inside another has its own line where less is allowed to
 * it.
 */
const parts = {
  'src-main/contract': { parts: [], packages: ['zod'] },
  // The adapter methods: pure, so that the page can count and check with them.
  'src-main/methods': { parts: main('contract'), packages: [] },
  'src-main/statistics': { parts: main('contract'), packages: [] },
  'src-main/shape': { parts: main('contract', 'methods'), packages: ['zod'] },
  'src-main/options': { parts: main('contract', 'methods', 'shape'), packages: ['zod'] },
  // A configuration as a file: the command line and the page read and write the same.
  'src-main/options/trainingYaml.ts': { parts: main('contract', 'options'), packages: ['yaml'] },
  'src-main/options/mixDocument.ts': { parts: main('contract'), packages: ['yaml', 'zod'] },
  'src-main/budget': { parts: main('contract', 'methods', 'shape', 'options'), packages: ['zod'] },
  'src-main/formats': {
    parts: main('contract', 'methods', 'shape'),
    packages: ['node', 'zod', '@huggingface/tokenizers'],
  },
  // What a config.json means: pure, so that the page can read one that is pasted.
  'src-main/formats/families': { parts: main('contract', 'shape'), packages: ['zod'] },
  'src-main/formats/families/huggingFaceConfig.ts': {
    parts: main('contract', 'formats'),
    packages: ['node'],
  },
  'src-main/data': {
    parts: main('contract', 'statistics', 'options', 'formats'),
    packages: [
      'node',
      'zod',
      'yaml',
      'csv-parse',
      'hyparquet',
      'hyparquet-compressors',
      'yauzl',
      '@huggingface/tokenizers',
      'franc-min',
    ],
  },
  // Templates are programs of strangers: what runs them is in one place.
  'src-main/data/rendering': {
    parts: main('contract', 'formats', 'data'),
    packages: ['node', '@huggingface/jinja'],
  },
  'src-main/evaluation': {
    parts: main('contract', 'statistics', 'formats', 'data'),
    packages: ['node', 'zod'],
  },
  // What scores come to, as files: nothing of a machine, so that it is found and written the same everywhere.
  'src-main/report': { parts: main('contract', 'statistics', 'evaluation'), packages: [] },
  'src-main/store': { parts: main('contract', 'statistics'), packages: ['node', 'zod', 'better-sqlite3'] },
  // What passes between the engine's process and the services.
  'src-main/engine/protocol.ts': {
    parts: main('contract', 'shape', 'engine/benchProtocol.ts'),
    packages: [],
  },
  'src-main/engine/benchProtocol.ts': { parts: main('contract', 'shape'), packages: [] },
  'src-main/engine/messages.ts': { parts: main('contract', 'engine/protocol.ts'), packages: [] },
  'src-main/engine/jobContext.ts': {
    parts: main('contract', ...engine('protocol.ts', 'messages.ts', 'graph')),
    packages: [],
  },
  // Operations and gradients: no model, no adapter, no file format; the bits of numbers and the size of blocks alone.
  'src-main/engine/graph': {
    parts: main('formats/files/floats.ts', 'options/deviceSizes.ts'),
    packages: ['node', '@tensorflow/tfjs-node-gpu'],
  },
  // Only this one loads TensorFlow.
  'src-main/engine/runtime': {
    parts: main('contract', 'formats/files/atomicFile.ts', 'engine/graph', 'setup/paths.mjs'),
    // The last one finds the binding for the first.
    packages: ['node', 'zod', '@tensorflow/tfjs-node-gpu', '@mapbox/node-pre-gyp'],
  },
  'src-main/engine/model': {
    parts: main('contract', 'methods', 'shape', 'options', 'formats', 'data', 'engine/graph'),
    packages: ['node'],
  },
  'src-main/engine/adapters': {
    parts: main('contract', 'methods', 'statistics', 'shape', 'formats', ...engine('graph', 'model')),
    packages: ['node', 'flatqueue'],
  },
  'src-main/engine/inference': {
    parts: main(...engineJob, ...engine('graph', 'model', 'adapters')),
    packages: ['node'],
  },
  'src-main/engine/training': {
    parts: main(...engineJob, ...engine('graph', 'model', 'adapters', 'inference')),
    packages: ['node', 'zod'],
  },
  'src-main/engine/bench': {
    parts: main(
      ...engineJob,
      ...engine('benchProtocol.ts', 'graph', 'model', 'adapters', 'inference', 'training'),
    ),
    packages: ['node'],
  },
  'src-main/engine/process': {
    parts: main(...engineJob, ...engine('graph', 'model', 'adapters', 'inference', 'training', 'bench')),
    packages: ['node'],
  },
  'src-main/services': services,
  ...serviceRooms,
  // The list of a release is YAML.
  'src-main/services/machine/releaseFile.ts': { parts: main('contract'), packages: ['zod', 'yaml'] },
  // What makes the starter lab in resources/: texts and tasks, a tokenizer, random weights, and their training.
  'src-main/starter': {
    parts: main('contract', 'statistics', 'formats', 'core', 'services'),
    packages: ['node'],
  },
  'src-main/core': { parts: ['src-main'], packages: ['node', 'zod', 'ws', 'sirv'] },
  'src-main/cli': { parts: ['src-main'], packages: ['node', 'zod'] },
  'src-main/cli.ts': { parts: ['src-main'], packages: ['node', 'zod'] },
  // What both ends of the channel to the core share: the page, the desktop shell and the core's hosts.
  'src-main/channel': { parts: main('contract'), packages: [] },
  'src-main/shell': {
    parts: main('contract', 'channel', 'engine/process/readLines.ts'),
    packages: ['node', 'zod', 'electron'],
  },
  // Runs before any package is installed.
  'src-main/setup': { parts: [], packages: ['node'] },
  // The page: what speaks with the core, what it knows, what it looks like, and its pages, each on the ones before.
  'src-renderer/rpc': { parts: main('contract', 'channel'), packages: ['zod'] },
  'src-renderer/state': { parts: [...computed, ...page('rpc')], packages: ['svelte', 'zod'] },
  'src-renderer/ui': {
    parts: [...computed, ...page('rpc', 'state')],
    packages: ['svelte', 'bits-ui', 'diff'],
  },
  'src-renderer/charts': { parts: [...computed, ...base], packages: ['svelte', 'echarts'] },
  'src-renderer/options': { parts: [...computed, ...base], packages: ['svelte', 'zod'] },
  'src-renderer/frame': { parts: [...computed, ...base], packages: ['svelte', 'bits-ui'] },
  'src-renderer/machine': { parts: [...computed, ...base], packages: ['svelte', 'bits-ui'] },
  'src-renderer/hub': { parts: [...computed, ...base], packages: ['svelte'] },
  'src-renderer/forecast': {
    parts: [...computed, ...base, ...shown],
    packages: ['svelte', 'bits-ui'],
  },
  // Each folder in it is a part of its own: what two pages show lies below the features.
  'src-renderer/features': {
    parts: [...computed, ...base, ...shown, 'src-renderer/forecast'],
    packages: ['svelte', 'bits-ui'],
  },
  'src-renderer/palette': {
    parts: [...computed, ...base, ...shown, 'src-renderer/forecast'],
    packages: ['svelte', 'bits-ui'],
  },
  'src-renderer': {
    parts: computed,
    packages: [
      'zod',
      'svelte',
      'bits-ui',
      '@fontsource-variable/inter',
      '@fontsource-variable/jetbrains-mono',
    ],
  },
};

const isWithin = (path, folder) => path === folder || path.startsWith(`${folder}/`);

/** The name in the table whose rules hold for a path of the project, the innermost one; null outside all parts. */
function lineOf(path) {
  const names = Object.keys(parts).filter((name) => isWithin(path, name));
  return names.sort((a, b) => b.length - a.length)[0] ?? null;
}

/** The part that a path belongs to: a feature stands alone, whatever its folder is called. */
const partOf = (path) => path.match(/^src-renderer\/features\/[^/]+(?=\/)/)?.[0] ?? lineOf(path);

function packageName(specifier) {
  if (isBuiltin(specifier)) return 'node';
  const [scope, name] = specifier.split('/');
  return scope.startsWith('@') ? `${scope}/${name}` : scope;
}

/**
 * Why a module may not import `specifier`, or null. @param {string} path of the module, from the project's folder, with
 * slashes
 */
function refusal(path, specifier) {
  const part = partOf(path);
  if (part === null) return `${path} belongs to no part: give its folder a line`;
  const may = parts[lineOf(path)];
  if (!specifier.startsWith('.')) {
    const name = packageName(specifier);
    if (may.packages.includes(name)) return null;
    return `${part} must not import ${name === 'node' ? "Node's own modules" : `the package ${name}`}`;
  }
  const target = relative('.', resolve(dirname(path), specifier.replace(/\?.*$/, ''))).replaceAll(sep, '/');
  if (!/^(src-main|src-renderer|tests)\//.test(target)) return null;
  if ([part, ...may.parts].some((name) => isWithin(target, name))) return null;
  return `${part} must not import ${partOf(target) ?? target}`;
}

/** The import rules as a rule of the linter, for every way in which one module can name another. */
export const importRule = {
  meta: { type: 'problem', schema: [] },
  create(context) {
    const path = relative(context.cwd, context.filename).replaceAll(sep, '/');
    const check = (node) => {
      if (typeof node?.value !== 'string') return;
      const reason = refusal(path, node.value);
      if (reason)
        context.report({ node, message: `${reason} (the import rules are in eslint.importRules.js).` });
    };
    const checkSource = (node) => check(node.source);
    return {
      ImportDeclaration: checkSource,
      ExportNamedDeclaration: checkSource,
      ExportAllDeclaration: checkSource,
      ImportExpression: checkSource,
      TSImportType: checkSource,
      TSExternalModuleReference: (node) => check(node.expression),
      'CallExpression[callee.name="require"]': (node) => check(node.arguments[0]),
    };
  },
};
