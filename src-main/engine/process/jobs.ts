import type { Precision } from '../../contract/training.ts';
import { readDecoderConfig } from '../../formats/families/huggingFaceConfig.ts';
import { deviceSizes } from '../../options/deviceSizes.ts';
import { benchTraining } from '../bench/trainingBench.ts';
import { chat } from '../inference/chat.ts';
import { choices } from '../inference/choices.ts';
import { generate } from '../inference/generate.ts';
import { logits } from '../inference/logits.ts';
import { route } from '../inference/route.ts';
import { score } from '../inference/score.ts';
import type { AskedContext } from '../jobContext.ts';
import type { EngineEvent } from '../messages.ts';
import type { Products } from '../graph/graph.ts';
import type { EngineRequest, EngineResults, ModelReference } from '../protocol.ts';
import { cardNote, chosenCard } from '../runtime/card.ts';
import { loadTensorflow } from '../runtime/loadTensorflow.ts';
import { chooseProducts } from '../runtime/products.ts';
import { handOver } from '../training/handOver.ts';
import { train } from '../training/trainer.ts';
import type { Inbox } from './inbox.ts';
import { adoptAdapter, adoptModel } from './adoptAdapter.ts';
import { exportFolder } from './exportFolders.ts';

/** Runs one request in this process. */
export async function runEngineRequest(
  request: EngineRequest,
  emit: (event: EngineEvent) => void,
  inbox: Inbox,
): Promise<EngineResults[EngineRequest['kind']]> {
  // They copy files: TensorFlow need not be there.
  if (request.kind === 'export') return exportFolder(request, emit);
  if (request.kind === 'adopt') return adoptAdapter(request, emit);
  if (request.kind === 'adoptModel') return adoptModel(request, emit);
  const card = chosenCard();
  const note = card && request.kind === 'train' ? cardNote(card) : null;
  if (note) emit({ type: 'log', line: note });
  const runtime = loadTensorflow({ verbose: request.kind === 'probe' && (request.verbose ?? false) });
  const { tf, version, binding, devices } = runtime;
  const device = devices.includes('gpu') ? 'gpu' : 'cpu';
  /** @param begunWith how products were computed before: a run goes on as it began */
  const contextFor = async (
    hiddenSize: number,
    precision: Precision,
    begunWith?: Products,
  ): Promise<AskedContext> => ({
    tf,
    fusion: hiddenSize >= deviceSizes[device].fusedFromHiddenSize,
    products: precision === 'bf16' ? (begunWith ?? (await products(hiddenSize))) : undefined,
    device,
    emit,
    stopRequested: inbox.stopRequested,
    nextAsk: inbox.nextAsk,
    isInterrupted: inbox.isInterrupted,
  });
  async function products(hiddenSize: number): Promise<Products> {
    const { products, reason } = await chooseProducts(runtime, hiddenSize);
    if (reason && request.kind === 'train') emit({ type: 'log', line: reason });
    return products;
  }
  const contextOf = ({ folder, precision }: Pick<ModelReference, 'folder' | 'precision'>) =>
    contextFor(readDecoderConfig(folder).hiddenSize, precision);
  switch (request.kind) {
    case 'train': {
      const decoder = readDecoderConfig(request.modelFolder);
      const { precision } = request.config;
      return train(request, decoder, await contextFor(decoder.hiddenSize, precision, request.products));
    }
    case 'handOver': {
      const decoder = readDecoderConfig(request.modelFolder);
      return handOver(request, decoder, await contextFor(decoder.hiddenSize, 'f32'));
    }
    case 'generate':
      return generate(request, await contextOf(request.model));
    case 'chat':
      return chat(request, await contextOf(request.model));
    case 'choices':
      return choices(request, await contextOf(request.model));
    case 'score':
      return score(request, await contextOf(request.model));
    case 'route':
      return route(request, await contextOf(request.model));
    case 'logits':
      return logits(request, await contextOf(request.model));
    case 'bench':
      return benchTraining(request, await contextFor(request.shape.hiddenSize, request.precision));
    case 'probe':
      return { tensorflow: version, binding, devices };
    default:
      throw new Error(`unknown request ${JSON.stringify(request satisfies never)}`);
  }
}
