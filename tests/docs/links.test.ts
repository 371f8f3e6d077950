import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { expect, it } from 'vitest';
import { projectFolder } from '../support/paths.ts';

/** Every page of the documentation, from the project's folder. */
const pages = [
  'README.md',
  ...readdirSync(join(projectFolder, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];
const textOf = (page: string) => readFileSync(join(projectFolder, page), 'utf8');

/** Commands of the command line, as its table has them. */
const commandNames = [...textOf('src-main/cli.ts').matchAll(/^ {2}(\w+): async \(\) =>/gm)].map(
  ([, name]) => name!,
);

/** As pages of repositories name their headings. */
const anchorOf = (heading: string) =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-');

const anchorsOf = (page: string) =>
  [...textOf(page).matchAll(/^#+ (.+)$/gm)].map(([, text]) => anchorOf(text!));

it.each(pages)('%s links to what is there', (page) => {
  const missing = [...textOf(page).matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target]) => target!)
    .filter((target) => !/^https?:/.test(target))
    .filter((target) => {
      const [path, anchor] = target.split('#') as [string, string?];
      const file = path ? resolve(projectFolder, dirname(page), path) : join(projectFolder, page);
      if (!existsSync(file)) return true;
      return anchor !== undefined && !anchorsOf(file.slice(projectFolder.length + 1)).includes(anchor);
    });
  expect(missing).toEqual([]);
});

it('every page but the README is reached from it', () => {
  const linked = new Set(
    [...textOf('README.md').matchAll(/\]\((docs\/[^)#]+\.md)/g)].map(([, path]) => path),
  );
  expect(pages.filter((page) => page !== 'README.md' && !linked.has(page))).toEqual([]);
});

it.each(pages)('%s names files and commands that there are', (page) => {
  const text = textOf(page);
  const named = [...text.matchAll(/`((?:src-main|src-renderer|tests|resources|docs)\/[\w./-]+)`/g)]
    .map(([, path]) => path!)
    .filter((path) => !existsSync(join(projectFolder, path)));
  const commands = [...text.matchAll(/npm run -s studio -- ([a-z]+)/g)]
    .map(([, command]) => command!)
    .filter((command) => !commandNames.includes(command));
  const scripts = Object.keys(
    (JSON.parse(textOf('package.json')) as { scripts: Record<string, string> }).scripts,
  );
  const unknown = [...text.matchAll(/npm run (?!-)([\w:]+)/g)]
    .map(([, script]) => script!)
    .filter((script) => !scripts.includes(script));
  expect({ named, commands, unknown }).toEqual({ named: [], commands: [], unknown: [] });
});

it('the README stays short', () => {
  expect(textOf('README.md').split('\n').length).toBeLessThan(150);
});
