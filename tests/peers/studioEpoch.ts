import { readFileSync, writeFileSync } from 'node:fs';
import type { Precision, TrainConfigInput } from '../../src-main/contract/training.ts';
import { loadTokenizer } from '../../src-main/formats/model/tokenizer.ts';
import { measureRows } from '../support/measuredTraining.ts';
import { sharedData } from '../support/paths.ts';

/*
 * Times an epoch over real rows in an engine of its own, and prints one JSON document.
 *
 * usage: node studioEpoch.ts '{"what": "rows", "file": "rows.json", "count": 242, "vocabulary": 32768}'
 *        node studioEpoch.ts '{"what": "train", "folder": "model", "file": "rows.json", "adapter": {...}, ...}'
 *
 * rows: question and answer of the first rows of GSM8K's training file in tokens of Mistral's tokenizer, for both
 * sides; the answer is trained on. Written to the file as [{"ids": [...], "prompt": 57}, ...].
 * train: one epoch in steps of `batch` rows, as a user starts it.
 */
type Asked =
  | { what: 'rows'; file: string; count: number; vocabulary: number }
  | {
      what: 'train';
      folder: string;
      file: string;
      adapter: TrainConfigInput['adapter'];
      precision: Precision;
      batch: number;
      context: number;
      packing: boolean;
    };

interface Row {
  ids: number[];
  /** Tokens of the question, which are not trained on. */
  prompt: number;
}

function writeRows({ file, count, vocabulary }: Extract<Asked, { what: 'rows' }>): void {
  const tokenizer = loadTokenizer(sharedData('tokenizers', 'mistral'));
  const lines = readFileSync(sharedData('gsm8k', 'train.jsonl'), 'utf8').split('\n').slice(0, count);
  const rows = lines.map((line): Row => {
    const { question, answer } = JSON.parse(line) as { question: string; answer: string };
    const prompt = tokenizer.encode(`Question: ${question}\nAnswer:`, { specialTokens: false });
    const rest = tokenizer.encode(` ${answer}`, { specialTokens: false });
    return { ids: [1, ...prompt, ...rest, 2].map((id) => id % vocabulary), prompt: 1 + prompt.length };
  });
  writeFileSync(file, JSON.stringify(rows));
}

async function train(asked: Extract<Asked, { what: 'train' }>): Promise<void> {
  const { folder, file, batch, context, precision, packing, adapter } = asked;
  const rows = JSON.parse(readFileSync(file, 'utf8')) as Row[];
  const { steps, losses, loadSeconds, peakMemoryBytes } = await measureRows(
    folder,
    rows.map(({ ids, prompt }) => ({
      ids: Int32Array.from(ids),
      trained: Uint8Array.from(ids, (_, i) => (i < prompt ? 0 : 1)),
    })),
    { adapter, batch, context, precision, packing, learningRate: 1e-4, epochs: 1 },
  );
  console.log(
    JSON.stringify({
      steps: steps.length,
      loadSeconds,
      firstStepSeconds: steps[0],
      epochSeconds: steps.reduce((sum, seconds) => sum + seconds, 0),
      peakMemoryBytes,
      losses: { first: losses[0], last: losses.at(-1) },
    }),
  );
}

const asked = JSON.parse(process.argv[2]!) as Asked;
if (asked.what === 'rows') writeRows(asked);
else await train(asked);
