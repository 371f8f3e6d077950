import { mostSeeds } from '../../../../src-main/contract/studies.ts';

const largest = 0x7fffffff;

/** Seeds as people type them: 0, 1, 2 or 0-4. */
export function readSeeds(text: string): { value: number[] } | { problem: string } {
  const parts = text.split(/[\s,]+/).filter(Boolean);
  if (parts.length === 0) return { problem: 'Name at least one seed.' };
  const seeds: number[] = [];
  for (const part of parts) {
    const [, from, to = from] = /^(\d{1,10})(?:-(\d{1,10}))?$/.exec(part) ?? [];
    const [first, last] = [Number(from), Number(to)];
    if (from === undefined || last < first || last > largest)
      return { problem: `“${part}” is no whole number from 0 to ${largest.toLocaleString('en-US')}.` };
    if (last - first >= mostSeeds) return { problem: `At most ${mostSeeds} seeds.` };
    for (let seed = first; seed <= last; seed++) seeds.push(seed);
  }
  if (new Set(seeds).size < seeds.length) return { problem: 'Each seed once.' };
  if (seeds.length > mostSeeds) return { problem: `At most ${mostSeeds} seeds.` };
  return { value: seeds };
}
