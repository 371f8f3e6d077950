import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { parse } from 'yaml';
import { methods } from '../../../src-main/contract/training.ts';
import { modelCard, type CardFacts } from '../../../src-main/services/exports/modelCard.ts';
import { writePythonPackage } from '../../../src-main/services/exports/pythonPackage.ts';
import { sampleEvaluation } from '../../support/sampleEvaluation.ts';
import { projectFolder } from '../../support/paths.ts';
import { sampleRun } from '../../support/sampleRun.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';

const facts = (changes: Partial<CardFacts> = {}): CardFacts => ({
  run: sampleRun({ name: 'first try' }),
  format: 'peft',
  base: 'organization/base',
  licence: { name: 'apache-2.0', source: 'README.md' },
  evaluations: [],
  notes: [],
  cutModules: null,
  quantization: null,
  ...changes,
});

const withMethod = (method: (typeof methods)[number]) => {
  const run = sampleRun({ name: 'first try' });
  return { ...run, config: { ...run.config, adapter: { ...run.config.adapter, method } } };
};

it.each(methods)('tells how to load what was trained with %s', (method) => {
  const card = modelCard(facts({ run: withMethod(method), format: method === 'full' ? 'merged' : 'peft' }));
  const code = /```python\n([\s\S]*?)```/.exec(card)![1]!;
  expect(code.includes('import id_lora')).toBe(['idlora', 'hydralora', 'moelora'].includes(method));
  expect(code.includes('PeftModel.from_pretrained(base, "this folder")')).toBe(method !== 'full');
  expect(card.includes('base_sha256')).toBe(method === 'idlora');
});

it('has a front matter that the Hub reads, also of hostile names', () => {
  const hostile = 'a | b <script>alert(1)</script>\n# title [x](javascript:1) `c`';
  const card = modelCard(facts({ run: sampleRun({ name: hostile }), base: 'organization/"b": {' }));
  const matter = parse(/^---\n([\s\S]*?)\n---/.exec(card)![1]!) as Record<string, unknown>;
  expect(matter).toMatchObject({
    base_model: 'organization/"b": {',
    license: 'apache-2.0',
    library_name: 'peft',
    base_model_relation: 'adapter',
  });
  expect(card).not.toContain('<script');
  expect(card).not.toMatch(/[^\\]\[x/);
  expect(card.match(/^# /gm)).toHaveLength(1);
});

it('states a licence that is no identifier in words alone', () => {
  const card = modelCard(facts({ licence: { name: 'My Terms, v1', source: 'LICENSE' } }));
  expect(card).not.toContain('license:');
  expect(card).toContain('states its licence as My Terms, v1 (LICENSE)');
  expect(modelCard(facts({ licence: null }))).toContain('states no licence');
});

it('tells scores with their intervals, or that there are none', () => {
  expect(modelCard(facts())).toContain('It was not scored.');
  const evaluation = sampleEvaluation({ n: 200, score: 0.25, interval: [0.195, 0.314] });
  expect(modelCard(facts({ evaluations: [evaluation] }))).toContain('25.0 % (19.5 % to 31.4 %)');
});

it('lays the Python package beside an adapter, whole', () => {
  const folder = temporaryFolder();
  const names = writePythonPackage(folder);
  expect(names).toContain('id_lora/__init__.py');
  for (const name of names)
    expect(readFileSync(join(folder, name))).toEqual(
      readFileSync(join(projectFolder, 'resources', 'python', name)),
    );
  const imported = [...readFileSync(join(folder, 'id_lora/__init__.py'), 'utf8').matchAll(/^from \.(\w+)/gm)];
  for (const [, module] of imported) expect(existsSync(join(folder, 'id_lora', `${module}.py`))).toBe(true);
});
