import type { ModelShape } from '../../src-main/shape/modelShape.ts';
import type { Model } from '../../src-main/contract/entities.ts';

/** The sizes that decide parameter counts. Models added before `architecture` was kept get the usual Llama layout. */
export function modelShape(model: Model): ModelShape {
  const { hiddenSize, intermediateSize, layers, heads, keyValueHeads, vocabularySize } = model;
  return {
    hiddenSize,
    intermediateSize,
    layers,
    heads,
    keyValueHeads,
    vocabularySize,
    headDim: hiddenSize / heads,
    tieEmbeddings: false,
    queryKeyValueBias: false,
    outputBias: false,
    mlpBias: false,
    queryKeyNorm: 'none',
    normPlacement: 'before',
    fusedProjections: false,
    ...model.architecture,
  };
}
