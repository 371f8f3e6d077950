import { createRandom } from '../../src-main/statistics/random.ts';
import { createEngineHost } from '../../src-main/engine/process/supervisor.ts';
import type { Precision } from '../../src-main/contract/training.ts';
import type { ModelShape } from '../../src-main/shape/modelShape.ts';
import { addTokenizer, timeAnswers } from '../support/measuredEvaluation.ts';
import { writeRandomModel } from '../support/measuredTraining.ts';

/*
 * Times what the engine answers and scores with, and prints one JSON document.
 *
 * usage: node studioInference.ts '{"what": "generate", "folder": "...", "batch": 16, "promptTokens": 64,
 *   "newTokens": 64, "precision": "bf16", "rounds": 3}'
 *
 * generate: greedy answers, as long as asked. A round is `batch` prompts and their answers; the first warms up.
 * model: writes a Llama of the shape with random bf16 weights into the folder.
 * choices: log-likelihoods of `choices` answers of `choiceTokens` tokens to each of `items` prompts, once as asked and
 * once as many answers to prompts of their own, so that nothing is shared (equal prompts would be, whichever item they
 * are in). What is scored first warms up.
 */
type Asked = { folder: string; batch: number; promptTokens: number; precision: Precision } & (
  | { what: 'model'; shape: ModelShape }
  | { what: 'generate'; newTokens: number; rounds: number }
  | { what: 'choices'; items: number; choices: number; choiceTokens: number }
);

/** All ids are ones that every tokenizer has. */
const vocabulary = 500;
const random = createRandom(3);
const idsOf = (count: number) => Array.from({ length: count }, () => 3 + random.integer(vocabulary - 3));

async function choices(asked: Extract<Asked, { what: 'choices' }>) {
  const items = Array.from({ length: asked.items }, () => ({
    prompt: idsOf(asked.promptTokens),
    choices: Array.from({ length: asked.choices }, () => idsOf(asked.choiceTokens)),
  }));
  const together = await scored(asked, items);
  const separately = await scored(
    asked,
    items.flatMap(({ prompt, choices: answers }) => answers.map((answer) => ({ prompt, choices: [answer] }))),
  );
  const alone = await scored(
    asked,
    items.flatMap(({ choices: answers }) =>
      answers.map((answer) => ({ prompt: idsOf(asked.promptTokens), choices: [answer] })),
    ),
  );
  const flat = (rows: readonly { logLikelihoods: readonly number[] }[]) =>
    rows.flatMap(({ logLikelihoods }) => logLikelihoods);
  const separate = flat(separately.rows);
  const difference = flat(together.rows).reduce(
    (most, value, i) => Math.max(most, Math.abs(value - separate[i]!)),
    0,
  );
  return {
    answersPerSecond: together.perSecond * asked.choices,
    answersPerSecondAlone: alone.perSecond,
    greatestDifference: difference,
  };
}

async function scored(asked: Asked, items: { prompt: number[]; choices: number[][] }[]) {
  const times: { done: number; at: number }[] = [];
  const { rows } = await host.start(
    { kind: 'choices', model: model(asked), items, batch: asked.batch },
    {
      onEvent(event) {
        if (event.type === 'progress' && event.label === 'Scoring')
          times.push({ done: event.done, at: performance.now() });
      },
    },
  ).result;
  const first = times.findIndex(({ done }) => done >= items.length / 4);
  const [from, to] = [times[first]!, times.at(-1)!];
  return { rows, perSecond: (1000 * (to.done - from.done)) / (to.at - from.at) };
}

function model({ folder, precision }: Asked) {
  return { folder, precision, adapterFolder: null };
}

const asked = JSON.parse(process.argv[2]!) as Asked;
const host = createEngineHost();
try {
  if (asked.what === 'model') {
    writeRandomModel(asked.folder, asked.shape, 2048);
    addTokenizer(asked.folder);
  } else
    console.log(
      JSON.stringify(
        await (asked.what === 'generate'
          ? timeAnswers(host, { ...asked, model: model(asked) })
          : choices(asked)),
      ),
    );
} finally {
  host.close();
}
