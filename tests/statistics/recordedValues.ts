import { readFileSync } from 'node:fs';

type Pair = [number, number];

/** What scipy and statsmodels compute (generate_statistics.py). */
export const recorded = JSON.parse(
  readFileSync(new URL('recorded/statistics.json', import.meta.url), 'utf8'),
) as {
  wilcoxon: { differences: number[]; p: number }[];
  mcnemar: { onlyA: number; onlyB: number; p: number }[];
  wilson: { successes: number; n: number; interval: Pair }[];
  paired: { both: number; onlyA: number; onlyB: number; neither: number; newcombe: Pair }[];
  ratio: { tokens: number[]; losses: number[]; interval: Pair; bootstrap: Pair | null }[];
  student: { values: number[]; p: number; interval: Pair }[];
  quantiles: { freedom: number; t: number }[];
  tails: { z: number; p: number }[];
  fractions: { freedom: number; t: number; at: number; p: number }[];
  below: { z: number; p: number }[];
  zeros: { differences: number[]; p: { wilcox: number; pratt: number; zsplit: number } }[];
  clustered: {
    values: number[];
    groups: number[];
    error: number;
    interval: Pair;
    designEffect: number;
    wilson: Pair | null;
  }[];
  adjusted: { p: number[]; holm: number[] }[];
  flips: { sums: number[]; p: number }[];
  signs: { wins: number; losses: number; p: number }[];
  rankClusters: { differences: number[]; groups: number[]; p: number }[];
  resampled: { values: number[]; drawn: number[]; bca: Pair; long: Pair }[];
  crossed: { table: number[][]; error: number; freedom: number; p: number }[];
  preference: { votes: [number, number, boolean][]; strengths: number[] };
};
