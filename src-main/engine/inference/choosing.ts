import type { Graph, Tensor } from '../graph/graph.ts';
import { sliceAxis } from '../graph/ops/layout.ts';
import { argMax } from '../graph/ops/reduce.ts';
import type { Entry, Tensors } from '../graph/session.ts';
import { drawnTokens } from './drawnTokens.ts';

/** How tokens are chosen: the most likely ones; drawn ones; those drawn of a nucleus, which may hold all. */
export type Way = 'greedy' | 'drawn' | 'nucleus';

/** Calls of a way have it behind their names. */
export const waySuffix: Readonly<Record<Way, string>> = { greedy: '', drawn: 'Drawn', nucleus: 'Nucleus' };

/**
 * The way that serves. @param options.temperature 0: greedy @param options.topP in (0, 1]; 1: every token may be drawn
 * @param known those that a decoder has; absent: all
 */
export function wayOf(options: { temperature: number; topP: number }, known?: readonly Way[]): Way {
  if (options.temperature === 0) return 'greedy';
  return options.topP < 1 || known?.includes('drawn') === false ? 'nucleus' : 'drawn';
}

interface Choice {
  suffix: string;
  /** What is fed for it (drawFeeds). */
  inputs: Tensors;
  /** @param logits [rows, vocabulary] @param step of the call @returns i32 [rows] */
  choose(logits: Tensor, step: number): Tensor;
}

/**
 * Tokens chosen in each of several ways.
 * @param name begins the names of what is fed
 * @param steps of a call, each with numbers of its own
 */
export function choicesBy(
  ways: readonly Way[],
  graph: Graph,
  name: string,
  { rows, steps }: { rows: number; steps: number },
): Choice[] {
  const uniform = graph.placeholder(`${name}_uniform`, [steps * rows], 'f32');
  const temperature = graph.placeholder(`${name}_temperature`, [], 'f32');
  const topP = graph.placeholder(`${name}_top_p`, [], 'f32');
  const drawn = (inputs: Tensors, nucleus: Tensor | null): Omit<Choice, 'suffix'> => ({
    inputs: { uniform, temperature, ...inputs },
    choose: (logits, step) =>
      drawnTokens(logits, sliceAxis(uniform, 0, step * rows, rows), { temperature, topP: nucleus }),
  });
  const all: Record<Way, () => Omit<Choice, 'suffix'>> = {
    greedy: () => ({ inputs: {}, choose: (logits) => argMax(logits, 1) }),
    drawn: () => drawn({}, null),
    nucleus: () => drawn({ topP }, topP),
  };
  return ways.map((way) => ({ suffix: waySuffix[way], ...all[way]() }));
}

/** A call for each choice, from what is fed to compute the logits. */
export function entriesOf(
  name: string,
  { inputs, logits }: { inputs: Tensors; logits: Tensor },
  choices: readonly Choice[],
): Record<string, Entry> {
  return Object.fromEntries(
    choices.map(({ suffix, inputs: more, choose }) => [
      `${name}${suffix}`,
      { inputs: { ...inputs, ...more }, outputs: { next: choose(logits, 0) } },
    ]),
  );
}

/**
 * What is fed to a call that draws tokens.
 * @param rows at each place of it; null: nothing is read there
 * @param options.uniform the next number of a row's own, in [0, 1)
 */
export function drawFeeds(
  way: Way,
  rows: readonly (number | null)[],
  options: { temperature: number; topP: number; steps: number; uniform(row: number): number },
): Record<string, Float32Array> {
  if (way === 'greedy') return {};
  const { temperature, topP, steps, uniform } = options;
  const numbers = new Float32Array(steps * rows.length);
  for (let i = 0; i < numbers.length; i++) {
    const row = rows[i % rows.length]!;
    if (row !== null) numbers[i] = uniform(row);
  }
  return {
    uniform: numbers,
    temperature: Float32Array.of(temperature),
    ...(way === 'nucleus' && { topP: Float32Array.of(topP) }),
  };
}
