import { createRequire } from 'node:module';
import util from 'node:util';
import { StudioError } from '../../contract/errors.ts';
import { installedBinding, isPackaged, repair } from '../../setup/paths.mjs';
import type { Tensorflow } from '../graph/session.ts';
import { keepCompiledFunctions } from './compiledFunctions.ts';

export interface Runtime {
  tf: Tensorflow;
  /** Version of the TensorFlow library. */
  version: string;
  /** Version of the npm package that binds it. */
  binding: string;
  /** `cpu` or `gpu`. */
  devices: string[];
}

let loaded: Runtime | null = null;

/**
 * Loads tfjs-node-gpu once per process.
 * @param options.verbose it prints why it takes no GPU (its level W), whatever the environment says
 * @throws StudioError runtime_missing where the binding or the library is not there
 */
export function loadTensorflow(options: { verbose?: boolean } = {}): Runtime {
  loaded ??= load(options.verbose ?? false);
  return loaded;
}

function load(verbose: boolean): Runtime {
  if (verbose) process.env['TF_CPP_MIN_LOG_LEVEL'] = '1';
  process.env['TF_CPP_MIN_LOG_LEVEL'] ??= '2';
  process.env['TF_FORCE_GPU_ALLOW_GROWTH'] ??= 'true';
  // Left to itself, it multiplies with oneDNN only where a processor has AVX-512's instructions for networks. With AVX2
  // alone, too, that is faster (a step in f32 by 8 %, answers of 16 rows by 10 to 37) and takes less memory.
  if (process.arch === 'x64') process.env['TF_ENABLE_ONEDNN_OPTS'] ??= '1';
  // Of several cards the first as nvidia-smi lists them, whose memory is forecast and shown; else the fastest is.
  process.env['CUDA_DEVICE_ORDER'] ??= 'PCI_BUS_ID';
  keepCompiledFunctions();
  // tfjs-node calls these two, which Node 23 removed.
  const legacy = util as { isNullOrUndefined?: unknown; isArray?: unknown };
  legacy.isNullOrUndefined ??= (value: unknown) => value === null || value === undefined;
  legacy.isArray ??= Array.isArray;
  const require = createRequire(import.meta.url);
  try {
    if (isPackaged) {
      // Nothing in an application can be written: its binding lies elsewhere, and the package looks beside itself only.
      const finder = require('@mapbox/node-pre-gyp/lib/pre-binding.js') as { find(manifest: string): string };
      finder.find = () => installedBinding;
    }
    const tf = require('@tensorflow/tfjs-node-gpu') as Tensorflow;
    const backend = tf.backend() as unknown as { binding: { TF_Version: string }; isUsingGpuDevice: boolean };
    return {
      tf,
      version: backend.binding.TF_Version,
      binding: tf.version['tfjs-node'] ?? tf.version.tfjs ?? 'unknown',
      devices: [backend.isUsingGpuDevice ? 'gpu' : 'cpu'],
    };
  } catch (error) {
    throw new StudioError(
      'runtime_missing',
      // The package's own advice follows in further lines; ours is the remedy.
      `TensorFlow cannot be loaded: ${(error instanceof Error ? error.message : String(error)).split('\n')[0]}`,
      `${repair[0]!.toUpperCase()}${repair.slice(1)}; it provides the library and says what it does.`,
      { cause: error },
    );
  }
}
