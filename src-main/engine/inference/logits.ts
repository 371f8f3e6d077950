import { StudioError } from '../../contract/errors.ts';
import { writeSafetensors } from '../../formats/files/safetensors.ts';
import { hostBytes } from '../model/modelGraph.ts';
import type { JobContext } from '../process/jobs.ts';
import type { LogitsRequest, LogitsResult } from '../process/protocol.ts';
import { checkTask } from '../training/taskNumbers.ts';
import { openModel } from './openModel.ts';
import { openLogitsGraph } from './wholeLogits.ts';

/** Writes the logits of one sequence as f32 `logits` [tokens, vocabulary]. */
export async function logits(request: LogitsRequest, context: JobContext): Promise<LogitsResult> {
  const opened = openModel(request.model, context);
  try {
    const { contextLength, vocabularySize } = opened.model.config;
    const wrong = request.ids.find((id) => id >= vocabularySize);
    if (wrong !== undefined)
      throw new StudioError(
        'usage',
        `Token id ${wrong} is outside the vocabulary of ${vocabularySize}.`,
        `Give ids from 0 to ${vocabularySize - 1}.`,
      );
    checkTask(opened.model.adapter, request.task ?? 0);
    if (request.ids.length > contextLength)
      throw new StudioError(
        'usage',
        `${request.ids.length} tokens are longer than the model's context of ${contextLength}.`,
        'Give fewer ids.',
      );
    const graph = await openLogitsGraph(context.tf, opened.model, request.ids.length);
    try {
      opened.load(graph.session, graph.assignment);
      const tokens = request.ids.length;
      const values = new Float32Array(tokens * vocabularySize);
      let at = 0;
      for (const piece of graph.read(Int32Array.from(request.ids), request.task)) {
        values.set(piece, at);
        at += piece.length;
      }
      writeSafetensors(request.outFile, [
        { name: 'logits', dtype: 'F32', shape: [tokens, vocabularySize], data: hostBytes(values) },
      ]);
      return { tokens, vocabulary: vocabularySize };
    } finally {
      graph.session.close();
    }
  } finally {
    opened.close();
  }
}
