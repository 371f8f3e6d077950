import { describe, expect, it } from 'vitest';
import { findCommands, stockCommands, type Command } from '../../../src-renderer/palette/commands.ts';
import { fuzzyScore } from '../../../src-renderer/palette/fuzzy.ts';
import { sampleRun } from '../../support/sampleRun.ts';

const better = (query: string, a: string, b: string) =>
  expect(fuzzyScore(query, a)!).toBeGreaterThan(fuzzyScore(query, b)!);

describe('fuzzy matching', () => {
  it('needs every character in order', () => {
    expect(fuzzyScore('idr8', 'demo-idlora-r8')).not.toBeNull();
    expect(fuzzyScore('r8id', 'demo-idlora-r8')).toBeNull();
    expect(fuzzyScore('', 'anything')).toBe(0);
  });

  it('prefers beginnings of words, unbroken stretches and shorter names', () => {
    better('tr', 'Train', 'Other run');
    better('lora', 'demo-lora-r3', 'learn of a rate');
    better('dt', 'Dark theme', 'individual text');
    better('home', 'Home', 'Homecoming run');
  });
});

describe('the palette', () => {
  const commands: Command[] = stockCommands(
    {
      runs: Array.from({ length: 50 }, (_, i) => sampleRun({ id: `r${i}`, name: `sweep-${i}` })),
      models: [],
      datasets: [],
      projects: [],
      studies: [],
      openProject: null,
    },
    async () => undefined,
  );
  const labels = (query: string, recent: string[] = []) =>
    findCommands(commands, query, recent).map(({ label }) => label);

  it('shows what was used last first, then all pages and some of the runs', () => {
    const found = findCommands(commands, '', ['run r7', 'page /plan', 'run that is gone']);
    expect(found.slice(0, 2).map(({ label, group }) => [label, group])).toEqual([
      ['sweep-7', 'Recent'],
      ['Plan', 'Recent'],
    ]);
    expect(found.filter(({ group }) => group === 'Pages')).toHaveLength(15);
    expect(found.filter(({ group }) => group === 'Runs')).toHaveLength(6);
  });

  it('finds a run by its name and by its state, and ranks recent ones higher', () => {
    expect(labels('sweep-42')[0]).toBe('sweep-42');
    expect(labels('lora done').length).toBe(30);
    expect(labels('sweep', ['run r33'])[0]).toBe('sweep-33');
    expect(labels('zzz')).toEqual([]);
  });

  it('goes to pages by their name', () => {
    expect(labels('eval')[0]).toBe('Evaluate');
    expect(labels('exp')[0]).toBe('Export');
  });
});
