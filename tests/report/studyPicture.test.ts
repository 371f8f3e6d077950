import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { smallStudies } from '../../src-main/cli/smallStudies/studies.ts';
import { agreement, type StudyRecord } from '../../src-main/report/studyRecord.ts';
import { studyPicture } from '../../src-main/report/writers/studyPicture.ts';
import { projectFolder } from '../support/paths.ts';

const cell = (mean: number, low: number, high: number) => ({
  values: [mean],
  mean,
  interval: [low, high] as [number, number],
});
const record: StudyRecord = {
  study: 'table-7',
  title: 'Budgets & more',
  question: 'Which?',
  model: 'starter',
  data: 'rows',
  settings: '60 steps',
  seeds: [0, 1, 2],
  basis: '3 seeds, mean and 95 % interval',
  createdAt: '2026-11-30T00:00:00.000Z',
  studio: '0',
  device: 'a processor',
  columns: [
    { key: 'loss', label: 'Held-out loss, nats', unit: 'nats' },
    { key: 'functions', label: 'Functions, %', unit: 'percent' },
  ],
  arms: [
    { label: 'LoRA r3', method: 'lora', trainable: 61_440, cells: [cell(0.3, 0.2, 0.4), cell(0.1, 0, 0.2)] },
    {
      label: 'LoRA r6',
      method: 'lora',
      trainable: 122_880,
      cells: [cell(0.2, -3, 3.4), cell(0.4, 0.3, 0.5)],
    },
    { label: 'ID-LoRA r8', method: 'idlora', trainable: 61_440, cells: [cell(0.35, 0.3, 0.4), null] },
  ],
  verdicts: [],
};

const count = (text: string, part: string) => text.split(part).length - 1;

describe('the picture of a small study', () => {
  it.each(['rows', 'parity'] as const)(
    '%s: each setting once a panel, by its name, and told in words',
    (layout) => {
      const picture = studyPicture(record, layout);
      expect(picture).toContain('Budgets &amp; more');
      // A panel of rows names settings once, for all; the other names each point.
      const body = picture.slice(picture.indexOf('<rect'));
      for (const { label, cells } of record.arms)
        expect(count(body, `>${label}<`)).toBe(
          layout === 'rows' ? 1 : cells.filter((one) => one !== null).length,
        );
      const marks = [count(body, '<circle'), count(body, 'rx="2"')];
      expect(marks).toEqual([4, 1]);
      expect(picture).toContain('LoRA r3 0.300 (0.200 to 0.400)');
      expect(picture).toContain('LoRA r6 40 (30 to 50)');
      expect(picture).not.toContain('NaN');
    },
  );

  it('an interval that would hide all others is cut, and told in words', () => {
    const picture = studyPicture(record, 'rows');
    const numbers = [...picture.matchAll(/x[12]="([-\d.]+)"/g)].map(([, x]) => Number(x));
    expect(numbers.every((x) => x >= 0 && x < 1000)).toBe(true);
    expect(picture).toContain('LoRA r6 0.200 (-3.000 to 3.400)');
  });

  it('says how a verdict stands to the paper', () => {
    expect(agreement({ paper: 'first', found: 'first' })).toBe('as the paper says');
    expect(agreement({ paper: 'first', found: 'second' })).toBe('against the paper');
    expect(agreement({ paper: 'first', found: 'cannot_tell' })).toContain('not shown');
    expect(agreement({ paper: null, found: 'second' })).toBe('open in the paper');
  });
});

describe('docs/studies', () => {
  const folder = join(projectFolder, 'docs', 'studies');
  // On the starter model, and below that on others.
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  const page = readFileSync(join(projectFolder, 'docs', 'studies.md'), 'utf8');

  it.each(files.filter((name) => name.endsWith('.json')))('%s: its picture is drawn from it', (name) => {
    const found = JSON.parse(readFileSync(join(folder, name), 'utf8')) as StudyRecord;
    const study = smallStudies.find((one) => one.name === found.study)!;
    expect(basename(name)).toBe(`${study.name}.json`);
    const picture = name.replace(/json$/, 'svg');
    expect(readFileSync(join(folder, picture), 'utf8')).toBe(studyPicture(found, study.picture));
    expect(page).toContain(`(studies/${picture})`);
  });

  it('every study has a section, with its picture where it was made', () => {
    for (const { name } of smallStudies) {
      expect(page).toContain(`npm run studies -- ${name}`);
      expect(page.includes(`(studies/${name}.svg)`), name).toBe(files.includes(`${name}.json`));
    }
  });
});
