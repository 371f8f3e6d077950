import { setImmediate } from 'node:timers/promises';
import { StudioError } from '../../contract/errors.ts';
import { readDecoderConfig } from '../../formats/families/huggingFaceConfig.ts';
import { benchTraining } from '../bench/trainingBench.ts';
import type { Products } from '../graph/graph.ts';
import type { Tensorflow } from '../graph/session.ts';
import { generate } from '../inference/generate.ts';
import { logits } from '../inference/logits.ts';
import { score } from '../inference/score.ts';
import { loadTensorflow } from '../runtime/loadTensorflow.ts';
import { productsFor } from '../runtime/products.ts';
import { train } from '../training/trainer.ts';
import { exportAdapter, exportModel } from './exportFolders.ts';
import type { EngineEvent, EngineRequest, EngineResults, TrainRequest } from './protocol.ts';

/** What every job of the engine gets. */
export interface JobContext {
  tf: Tensorflow;
  /** Elementwise work as XLA functions; worth their compilation from some model size on. */
  fusion: boolean;
  /** How bf16 matrices are multiplied; absent: by TensorFlow's bf16 kernels. */
  products?: Products | undefined;
  emit(event: EngineEvent): void;
  /** Lets waiting messages in. @throws StudioError cancelled once a stop was asked for */
  throwIfStopped(): Promise<void>;
}

/** The stop message, once it has come. */
export interface StopSignal {
  requested: { save: boolean } | null;
}

/** Runs one request in this process. */
export async function runEngineRequest(
  request: EngineRequest,
  emit: (event: EngineEvent) => void,
  stop: StopSignal,
): Promise<EngineResults[EngineRequest['kind']]> {
  const runtime = loadTensorflow();
  const context: JobContext = {
    tf: runtime.tf,
    fusion: false,
    products: productsFor(runtime.devices),
    emit,
    async throwIfStopped() {
      await setImmediate();
      if (stop.requested) throw new StudioError('cancelled', 'The job was cancelled.', 'Start it again.');
    },
  };
  switch (request.kind) {
    case 'train':
      return runTraining(request, context, stop);
    case 'generate':
      return generate(request, withFusion(context, request.model.folder));
    case 'score':
      return score(request, withFusion(context, request.model.folder));
    case 'logits':
      return logits(request, withFusion(context, request.model.folder));
    case 'export':
      return request.format === 'peft' ? exportAdapter(request) : exportModel(request);
    case 'bench':
      return benchTraining(request, {
        ...context,
        fusion: request.shape.hiddenSize >= fusionFromHiddenSize,
      });
    case 'probe':
      return { tensorflow: runtime.version, binding: runtime.binding, devices: runtime.devices };
    default:
      throw new Error(`unknown request ${JSON.stringify(request satisfies never)}`);
  }
}

/** Models narrower than this compute a step faster than XLA's calls save; compiling would only cost seconds. */
const fusionFromHiddenSize = 512;

function withFusion(context: JobContext, folder: string): JobContext {
  return { ...context, fusion: readDecoderConfig(folder).hiddenSize >= fusionFromHiddenSize };
}

async function runTraining(request: TrainRequest, context: JobContext, stop: StopSignal) {
  const decoder = readDecoderConfig(request.modelFolder);
  return train(request, decoder, {
    tf: context.tf,
    fusion: decoder.hiddenSize >= fusionFromHiddenSize,
    products: context.products,
    emit: context.emit,
    async stopRequested() {
      await setImmediate();
      return stop.requested;
    },
  });
}
