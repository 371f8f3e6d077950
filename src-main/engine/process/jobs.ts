import { readDecoderConfig } from '../../formats/families/huggingFaceConfig.ts';
import { benchTraining } from '../bench/trainingBench.ts';
import { chat } from '../inference/chat.ts';
import { choices } from '../inference/choices.ts';
import { generate } from '../inference/generate.ts';
import { logits } from '../inference/logits.ts';
import { route } from '../inference/route.ts';
import { score } from '../inference/score.ts';
import type { AskedContext } from '../jobContext.ts';
import type { EngineEvent } from '../messages.ts';
import type { EngineRequest, EngineResults } from '../protocol.ts';
import { loadTensorflow } from '../runtime/loadTensorflow.ts';
import { productsFor } from '../runtime/products.ts';
import { train } from '../training/trainer.ts';
import type { Inbox } from './inbox.ts';
import { exportFolder } from './exportFolders.ts';

/** Models narrower than this compute a step faster than XLA's calls save; compiling would only cost seconds. */
const fusionFromHiddenSize = 512;

/** Runs one request in this process. */
export async function runEngineRequest(
  request: EngineRequest,
  emit: (event: EngineEvent) => void,
  inbox: Inbox,
): Promise<EngineResults[EngineRequest['kind']]> {
  // It copies files: TensorFlow need not be there.
  if (request.kind === 'export') return exportFolder(request, emit);
  const { tf, version, binding, devices } = loadTensorflow({ verbose: request.kind === 'probe' });
  const contextFor = (hiddenSize: number): AskedContext => ({
    tf,
    fusion: hiddenSize >= fusionFromHiddenSize,
    products: productsFor(devices),
    emit,
    stopRequested: inbox.stopRequested,
    nextAsk: inbox.nextAsk,
    isInterrupted: inbox.isInterrupted,
  });
  switch (request.kind) {
    case 'train': {
      const decoder = readDecoderConfig(request.modelFolder);
      return train(request, decoder, contextFor(decoder.hiddenSize));
    }
    case 'generate':
      return generate(request, contextFor(readDecoderConfig(request.model.folder).hiddenSize));
    case 'chat':
      return chat(request, contextFor(readDecoderConfig(request.model.folder).hiddenSize));
    case 'choices':
      return choices(request, contextFor(readDecoderConfig(request.model.folder).hiddenSize));
    case 'score':
      return score(request, contextFor(readDecoderConfig(request.model.folder).hiddenSize));
    case 'route':
      return route(request, contextFor(readDecoderConfig(request.model.folder).hiddenSize));
    case 'logits':
      return logits(request, contextFor(readDecoderConfig(request.model.folder).hiddenSize));
    case 'bench':
      return benchTraining(request, contextFor(request.shape.hiddenSize));
    case 'probe':
      return { tensorflow: version, binding, devices };
    default:
      throw new Error(`unknown request ${JSON.stringify(request satisfies never)}`);
  }
}
