import { join } from 'node:path';
import { ESLint } from 'eslint';
import tseslint from 'typescript-eslint';
import { expect, it } from 'vitest';
import { projectFolder } from '../support/paths.ts';

const linter = new ESLint({
  cwd: projectFolder,
  overrideConfig: [{ files: ['**/*.ts'], ...tseslint.configs.disableTypeChecked }],
});

/** What the linter says about a module. */
async function complaints(code: string): Promise<string[]> {
  const [result] = await linter.lintText(code, { filePath: join(projectFolder, 'src-main/budget/new.ts') });
  return result!.messages.map(({ message }) => message);
}

it('comments end within 120 columns', async () => {
  const comment = (columns: number) => `// ${'x'.repeat(columns - 3)}\nexport const a = 1;\n`;
  expect(await complaints(comment(120))).toEqual([]);
  expect(await complaints(comment(121))).toEqual(['A comment ends after column 120.']);
});

it('words have one spelling, in names, comments and texts', async () => {
  const british = ['optimi', 'tokeni', 'quanti'].map((stem) => `${stem}sed`);
  for (const word of british) {
    expect(await complaints(`export const ${word} = 1;\n`)).toEqual([expect.stringContaining(word)]);
    expect(await complaints(`// ${word}\nexport const a = 1;\n`)).toEqual([expect.stringContaining(word)]);
    expect(await complaints(`export const a = '${word}';\n`)).toEqual([expect.stringContaining(word)]);
    expect(await complaints(`export const ${word.replace('sed', 'zed')} = 1;\n`)).toEqual([]);
  }
});

it('no literal is spread into an object', async () => {
  expect(await complaints('export const f = (a: object) => ({ ...a, ...(a ? { b: 1 } : {}) });\n')).toEqual(
    [],
  );
  expect(await complaints('export const f = (a: object) => ({ ...{ a } });\n')).toHaveLength(1);
});

it('no list of any length is spread into a call', async () => {
  for (const call of [
    'Math.max(0, ...list)',
    'Math.min(...list)',
    'list.push(...list)',
    'list.unshift(...list)',
  ])
    expect(await complaints(`export const f = (list: number[]) => ${call};\n`), call).toEqual([
      expect.stringMatching(/^Too many elements end this call/),
    ]);
  expect(await complaints('export const f = (list: number[]) => [0, ...list];\n')).toEqual([]);
});
